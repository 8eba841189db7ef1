"""Claims about positions: what a score depends on, what lies beyond the trained context, what order is without
positions."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from gptcore.checkpoint import SHIPPED
from gptcore.config import ModelConfig, RopeScaling
from gptcore.corpora.encoding import encode_documents
from gptcore.corpora.windows import fixed_batches
from gptcore.experiments.claims import Claim, Progress, Repetition, by_range
from gptcore.experiments.paired_training import SHAPE_IN_WORDS, STEPS, train_variants
from gptcore.formats import load
from gptcore.lessons.by_hand import order_for_halves, rotated_score
from gptcore.model import GPT
from gptcore.positions import apply_rope, rope_table
from gptcore.stories.writer import write_stories
from gptcore.tokenizer import Tokenizer

SHIFTS = (1, 10, 100, 1000)
BEYOND = 3  # times the trained context that are read
BIN = 32  # positions whose losses are averaged
FACTOR = 4.0
BASES = (10_000.0, 500_000.0)
FAR = (1024, 4096, 16_384)
SCHEMES = ("rope", "learned", "sinusoidal", "none")


def scores_by_position(q: Tensor, k: Tensor, n: int, theta: float = 10_000.0) -> Tensor:
    """Return the scores of one query and one key (D,) at every two positions: (n, n), rows are the query's position."""

    cos, sin = rope_table(len(q), n, theta)
    queries, keys = (apply_rope(x.expand(n, -1), cos, sin) for x in (q, k))
    return queries @ keys.T / math.sqrt(len(q))


def scores_by_distance(q: Tensor, k: Tensor, n: int, theta: float = 10_000.0) -> Tensor:
    """Return the score of a query and a key (D,) with the query 0, 1, … n - 1 tokens behind the key: (n,)."""
    cos, sin = rope_table(len(q), n, theta)
    return apply_rope(q.expand(n, -1), cos, sin) @ k / math.sqrt(len(q))


def remaining_score(width: int, theta: float, distances: Sequence[int]) -> list[float]:
    """Return what is left of the score of two equal vectors at some distances, as a fraction of that at 0.

    Each is averaged over the distances just before it, an eighth of its own size, because the score oscillates.
    """

    same = torch.ones(width)
    scores = scores_by_distance(same, same, max(distances) + 1, theta).double()
    sums = torch.cat((torch.zeros(1), scores.cumsum(0)))
    return [float((sums[far + 1] - sums[far - far // 8]) / (far // 8 + 1) / scores[0]) for far in distances]


@dataclass(frozen=True, kw_only=True, slots=True)
class DistanceProfile:
    """What distance a head prefers by angles alone: the score of its mean query and mean key at each distance."""

    layer: int
    head: int
    scores: tuple[float, ...]  # from distance 0 on

    @property
    def peak(self) -> int:
        """The distance with the highest score."""
        return max(range(len(self.scores)), key=self.scores.__getitem__)


def distance_profiles(seen: dict[str, Tensor], config, n: int) -> list[DistanceProfile]:
    """Return for each head how its score depends on distance, from the trace of one text.

    Queries and keys are taken before their rotation and averaged over the text, so that the words don't matter.
    """
    profiles = []
    for layer in range(config.n_layers):
        q, k = (seen[f"layers.{layer}.attention.{name}"][0].mean(1) for name in "qk")  # (H, D), (K, D)
        for head in range(config.n_heads):
            key = k[head * config.n_kv_heads // config.n_heads]
            scores = scores_by_distance(q[head], key, n, config.rope_theta)
            profiles.append(DistanceProfile(layer=layer, head=head, scores=tuple(scores.tolist())))
    return profiles


@dataclass(frozen=True, kw_only=True, slots=True)
class PairingScores:
    """The score of a query and a key, both rotated: by the paper's pairs, by ours, by ours after reordering."""

    paper: float
    wrong: float
    reordered: float


def pairing_scores(width: int, *, seed: int = 0, distance: int = 3) -> PairingScores:
    """Return what a random query and key (D,) of neighboring pairs score when each convention rotates them."""

    generator = torch.Generator().manual_seed(seed)
    q, k = torch.randn(width, generator=generator), torch.randn(width, generator=generator)
    order = order_for_halves(width, "neighbours")
    return PairingScores(
        paper=rotated_score(q, k, distance, 0, pairing="neighbours"),
        wrong=rotated_score(q, k, distance, 0),
        reordered=rotated_score(q[order], k[order], distance, 0),
    )


def order_known(
    scheme: str, n_layers: int, *, causal: bool = True, seed: int = 0, n_tokens: int = 12
) -> float:
    """Return how much the last output changes when the tokens before it are shuffled, as a fraction of its length.

    The model is untrained, with other weights for each seed: what its architecture can detect, not what it learned.
    """
    config = ModelConfig(
        vocab_size=64,
        context_length=n_tokens,
        d_model=64,
        n_layers=n_layers,
        n_heads=4,
        d_ff=192,
        position=scheme,
        causal=causal,
    )
    model = GPT(config, seed=seed).eval()
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randperm(64, generator=generator)[:n_tokens]
    shuffled = ids.clone()
    shuffled[:-1] = ids[:-1].roll(1)  # all but the last are at another position
    with torch.inference_mode():
        here, there = (model.hidden(sequence.unsqueeze(0))[0, -1] for sequence in (ids, shuffled))
    return float((here - there).norm() / here.norm())


def with_rope_scaling(model: GPT, scaling: RopeScaling | None, n_tokens: int) -> GPT:
    """Return a model with the same weights that takes `n_tokens` tokens, its frequencies scaled or unchanged."""

    config = model.config.replace(context_length=n_tokens, rope_scaling=scaling)
    other = GPT(config).eval()
    other.load_state_dict(model.state_dict())
    return other.requires_grad_(False)


def scalings(factor: float, trained: int) -> dict[str, RopeScaling | None]:
    """Return the scaling methods for a longer text, by name; the first leaves the frequencies as trained."""
    return {
        "as trained": None,
        "linear": RopeScaling(kind="linear", factor=factor),
        "ntk": RopeScaling(kind="ntk", factor=factor),
        "by frequency": RopeScaling(kind="llama3", factor=factor, original_context_length=trained),
    }


def loss_by_position(
    model: GPT, tokenizer: Tokenizer, scaling: RopeScaling | None, *, seed: int = 0, n_texts: int = 4
) -> list[float]:
    """Return the loss in nats a token over stories no run has read, averaged over each `BIN` positions.

    Reads BEYOND times the trained context in one piece, whatever the model was trained for; one text at a time,
    because the logits of a text take several times the memory of the model.
    """
    length = BEYOND * model.config.context_length // BIN * BIN
    texts = [story.text for story in write_stories(12 * n_texts * BEYOND, seed=900_000 + 1000 * seed)]
    ids = encode_documents(texts, tokenizer)
    ((inputs, targets),) = fixed_batches(ids, length, n_texts, 1)
    other = with_rope_scaling(model, scaling, inputs.shape[1])
    with torch.inference_mode():
        losses = [
            F.cross_entropy(other(text.unsqueeze(0))[0], wanted, reduction="none")
            for text, wanted in zip(inputs, targets)
        ]
    by_position = torch.stack(losses).mean(0)
    return by_position[: len(by_position) // BIN * BIN].view(-1, BIN).mean(1).tolist()


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _shipped() -> tuple[GPT, Tokenizer]:
    return load(SHIPPED)


def _score_drift() -> Iterator[Repetition]:
    cos, sin = rope_table(64, 2048)
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        q, k = torch.randn(64, generator=generator), torch.randn(64, generator=generator)

        def score(query: int, key: int, q=q, k=k) -> float:
            return float(apply_rope(q, cos[query], sin[query]) @ apply_rope(k, cos[key], sin[key])) / 8

        first = score(20, 0)
        yield {f"both {shift} on": abs(score(20 + shift, shift) - first) for shift in SHIFTS}


def _order_in_the_mask() -> Iterator[Repetition]:
    for seed in range(5):
        yield {
            f"{n} layer{'s' if n > 1 else ''}, {'mask' if causal else 'no mask'}": order_known(
                "none", n, causal=causal, seed=seed
            )
            for causal in (True, False)
            for n in (1, 2, 4)
        }


def _beyond(kind: str) -> Iterator[Repetition]:
    """Losses within and beyond the trained context, minus the loss within it without scaling."""
    model, tokenizer = _shipped()
    inside = model.config.context_length // BIN
    for seed in range(3):
        losses = {
            name: loss_by_position(model, tokenizer, scaling, seed=seed)
            for name, scaling in scalings(FACTOR, model.config.context_length).items()
            if name in ("as trained", kind)
        }
        trained_loss = _mean(losses["as trained"][:inside])
        yield {
            "inside the context": _mean(losses[kind][:inside]) - trained_loss,
            "beyond it": _mean(losses[kind][inside:]) - trained_loss,
        }


def _far_scores() -> Iterator[Repetition]:
    fractions_by_base = {base: remaining_score(128, base, FAR) for base in BASES}
    for i in range(len(FAR)):
        yield {f"base {base:,.0f}": fractions[i] for base, fractions in fractions_by_base.items()}


def _trained_schemes() -> Iterator[Repetition | Progress]:
    variants = {scheme: {"position": scheme} for scheme in ("none", "learned", "rope")}
    none, *with_positions = variants
    return train_variants(
        variants,
        lambda trained: {scheme: trained[none].loss - trained[scheme].loss for scheme in with_positions},
    )


CLAIMS = (
    Claim(
        name="distance_alone",
        chapter=4,
        slogan="With RoPE the score depends only on the distance",
        source="Su et al. 2021, section 3.2.",
        how="Five random queries and keys of 64 numbers, 20 positions apart, both shifted by up to 1,000 "
        "positions. Measured: the change of the scaled score. The claim holds if it is below 0.001.",
        unit="change of the score",
        headline="both 1000 on",
        labels={
            "both 1 on": "both shifted by 1",
            "both 10 on": "both shifted by 10",
            "both 100 on": "both shifted by 100",
            "both 1000 on": "both shifted by 1000",
        },
        measure=_score_drift,
        judge=by_range(lambda drift: drift < 1e-3),
        transfers="It holds for every query, key and base, up to rounding.",
    ),
    Claim(
        name="any_length",
        chapter=4,
        slogan="RoPE works at any length",
        source="Often inferred from the formula, which has no maximum length.",
        how=f"The shipped model reads new stories {BEYOND} times as long as its context. Measured: the loss "
        "beyond the context minus the loss inside. The claim holds if it is below 0.1 nats per token.",
        unit="nats per token higher",
        headline="beyond it",
        labels={"beyond it": "beyond the context"},
        measure=lambda: _beyond("as trained"),
        judge=lambda measured: "holds" if measured["beyond it"].high < 0.1 else
        "holds not" if measured["beyond it"].low >= 0.1 else "depends",
        transfers="The same: the model has never seen those angles in training. That is why methods to extend "
        "the context exist.",
    ),
    Claim(
        name="linear_extends",
        chapter=4,
        slogan="Linear scaling extends the context",
        source="Chen et al. 2023, who fine-tune afterward; often repeated without that.",
        how=f"As above, with every angle divided by {FACTOR:g} and no fine-tuning. Measured: the loss "
        "inside and beyond the context, minus the unscaled model's loss inside. The claim holds if "
        "both are below 0.2 nats per token.",
        unit="nats per token higher",
        headline="inside the context",
        labels={"beyond it": "beyond the context"},
        measure=lambda: _beyond("linear"),
        judge=by_range(lambda more: more < 0.2),
        transfers="Without fine-tuning, it raises the loss at every size. With a little fine-tuning it works, as the "
        "paper shows.",
    ),
    Claim(
        name="ntk_extends",
        chapter=4,
        slogan="NTK scaling extends the context without training",
        source="A forum post by bloc97 in 2023, then Peng et al. 2023.",
        how=f"As above, with the base raised so that the lowest frequency is divided by {FACTOR:g}. The "
        "claim holds if the loss rises by less than 0.2 nats per token, inside and beyond the context.",
        unit="nats per token higher",
        headline="inside the context",
        labels={"beyond it": "beyond the context"},
        measure=lambda: _beyond("ntk"),
        judge=by_range(lambda more: more < 0.2),
        transfers="It does little harm inside the context at any size. It extends the context by less than the "
        "factor suggests; by how much depends on the model.",
    ),
    Claim(
        name="higher_base",
        chapter=4,
        slogan="A higher RoPE base is worse for long contexts",
        source="A common guess; LLaMA 3 raised the base to 500,000 to support longer contexts.",
        how="Two equal vectors of 128 numbers, up to 16,384 positions apart. Measured: their score as a "
        "fraction of the score at distance 0. The claim holds if it is lower with the higher base.",
        unit="of the score at distance 0",
        headline=f"base {BASES[1]:,.0f}",
        measure=_far_scores,
        judge=lambda measured: "holds" if measured["base 500,000"].high < measured["base 10,000"].low else
        "holds not" if measured["base 500,000"].low >= measured["base 10,000"].high else "depends",
        transfers="The geometry is the same. Whether a model uses distant tokens well depends on its training.",
    ),
    Claim(
        name="no_order",
        chapter=4,
        slogan="Without position embeddings a decoder ignores order",
        source="True of a Transformer without a causal mask; often repeated for GPTs.",
        how="Untrained models without positions, five random initializations. The tokens before the last "
        "are shuffled. Measured: the relative change of the last output. The claim holds if it is "
        "below 0.0001.",
        unit="relative change of the output",
        headline="2 layers, mask",
        measure=_order_in_the_mask,
        judge=by_range(lambda moved: moved < 1e-4),
        transfers="The same, by construction: the causal mask gives each token a different set of tokens to "
        "average over.",
    ),
    Claim(
        name="positions_trained",
        chapter=4,
        slogan="A GPT needs position embeddings to learn",
        source="A common assumption; Haviv et al. 2022 found the opposite.",
        how=f"{SHAPE_IN_WORDS}, with learned positions, RoPE and none, {STEPS} steps on the stories, three "
        "seeds. Measured: the validation loss without positions minus that of each kind. The claim holds "
        "if each gains more than 0.02 nats with every seed.",
        unit="nats per token gained over no positions",
        headline="learned",
        measure=_trained_schemes,
        judge=by_range(lambda gain: gain > 0.02),
        transfers="Training without positions works at other sizes too. If a learned table does no better here, "
        "that is because training was short: it must see every position often enough.",
        kind="train",
        nothing=0.0,
    ),
)  # fmt: skip
