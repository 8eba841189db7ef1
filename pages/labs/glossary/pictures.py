"""Chapter 11: small pictures of what is inside a model, one a term, each computed by the library when it is asked for.

A picture is a figure or a strip of tokens. Those with a dial take its value.
"""

import math
from collections import Counter

from gptcore.account import cache_bytes, forward_flops, parameters, summands
from gptcore.config import PRESETS, ModelConfig, RopeScaling
from gptcore.lessons.provenance import share_of_feedforward
from gptcore.lessons.published_models import PUBLISHED
from pages.kit import chips, forward, grids, initialization, models, plots, prompt, session, story_data
from pages.kit.chips import Chip
from pages.kit.figures import Picture
from pages.labs.block.finding import NO_EPS
from pages.labs.positions import cached

SENTENCE = "The king had a golden ring. The king lost the ring."
WORDS = (" king", " queen", " man", " woman", " dog", " castle")
Q = ((0.8, 0.1), (-0.2, 0.7), (0.5, -0.4))
K = ((0.6, -0.3), (0.1, 0.5), (-0.4, 0.8))
V = ((0.4, 0.9), (-0.3, 0.2), (0.7, -0.1))
X = (3.2, -1.5, 0.8, -4.1)
PLACES = tuple(z / 10 for z in range(-50, 51))
HEIGHT = 260


def curve(x, bands, x_title: str, y_title: str, **more) -> Picture:
    """Curves in the size of this page."""
    return plots.curves(x, bands, x_title=x_title, y_title=y_title, height=HEIGHT, revision=y_title, **more)


def bars(names, values, y_title: str, form: str | None = None, **more) -> Picture:
    """Upright bars in the size of this page."""
    return plots.columns(
        names, {y_title: values}, y_title=y_title, form=form, height=HEIGHT, revision=y_title, **more
    )


def tokens() -> list[Chip]:
    return prompt.token_chips(SENTENCE, story_data.story_tokenizer())


def merges(n: int) -> list[Chip]:
    from gptcore.lessons.bpe_steps import replay

    tokenizer = story_data.story_tokenizer()
    moments = replay(" golden", tokenizer)
    return [
        Chip(chips.visible(tokenizer.token_text(i)), note=f"token {i}")
        for i in moments[min(n, len(moments) - 1)].ids
    ]


def token_lengths() -> Picture:
    tokenizer = story_data.story_tokenizer()
    special = set(tokenizer.special_tokens.values())
    counts = Counter(len(tokenizer.token_bytes(i)) for i in range(tokenizer.vocab_size) if i not in special)
    return bars(
        [str(n) for n in sorted(counts)], [counts[n] for n in sorted(counts)], "tokens of so many bytes"
    )


def character_bytes() -> Picture:
    characters = ("a", "é", "अ", "日")
    return bars(characters, [len(one.encode()) for one in characters], "bytes")


def end_of_text() -> list[Chip]:
    from gptcore.tokenizer import EOT

    tokenizer = story_data.story_tokenizer()
    ids = tokenizer.encode(f"They were friends again.{EOT}Once upon a time", allow_special=True)
    return [
        Chip(
            chips.visible(tokenizer.token_text(i)), "new" if i == tokenizer.eot_id else "plain", f"token {i}"
        )
        for i in ids
    ]


def story(seed: int) -> list[Chip]:
    from gptcore.stories.writer import write_story

    return prompt.token_chips(write_story(seed).text[:240], story_data.story_tokenizer())


def dealt(step: int) -> Picture:
    import torch

    from gptcore.corpora.windows import Windows

    windows = Windows(torch.arange(25), 6, 2, seed=1)
    for _ in range(step):
        inputs, _targets = windows.next()
    return grids.matrix(
        inputs.tolist(), rows=("window 1", "window 2"), columns=[f"{n}" for n in range(1, 7)],
        name="token", numbers=".0f", row_title="", column_title="place in the window", revision="dealt",
    )  # fmt: skip


def pairs_in_context() -> Picture:
    lengths = (16, 32, 64, 128, 256)
    return curve(
        lengths, {"pairs": [n * (n + 1) / 2 for n in lengths]}, "tokens", "pairs of tokens compared, one head"
    )


def _ids(words) -> list[int]:
    tokenizer = story_data.story_tokenizer()
    return [tokenizer.encode(word)[0] for word in words]


def rows() -> Picture:
    table = models.shipped().model.embedding.weight.detach()[_ids(WORDS), :24].tolist()
    return grids.heatmap(
        table, rows=[word.strip() for word in WORDS], columns=[str(n) for n in range(1, 25)], highest=None,
        signed=True, what="number", row_title="token", column_title="the first 24 of its numbers",
    )  # fmt: skip


def cosines() -> Picture:
    from gptcore.interpret.embedding_table import cosines as between

    table = models.shipped().model.embedding.weight.detach()[_ids(WORDS)]
    names = [word.strip() for word in WORDS]
    return grids.matrix(between(table, table).tolist(), rows=names, columns=names, name="cosine")


def tying() -> Picture:
    from gptcore.experiments.measurements.model import tying_saves

    shapes = {"tiny": PRESETS["tiny"].model, "small": PRESETS["small"].model}
    shapes |= {name: PUBLISHED[name].config for name in ("Llama 3.2 1B", "LLaMA 2 7B", "LLaMA 3 8B")}
    return bars(
        list(shapes),
        [100 * tying_saves(one) for one in shapes.values()],
        "% saved of the untied model",
        ".1f",
    )


def _trace():
    use = models.shipped()
    return forward.traced(use, SENTENCE)


def stream() -> Picture:
    from gptcore.interpret.gradient_depth import written

    found = written(dict(_trace().seen), models.shipped().model.config)
    return bars([one.name for one in found], [one.size for one in found], "size of what each writes", ".2f")


def best_logits() -> Picture:
    tokenizer = models.shipped().tokenizer
    best = _trace().seen["logits"][0, -1].topk(6)
    names = [chips.visible(tokenizer.token_text(i)) for i in best.indices.tolist()]
    return bars(names, best.values.tolist(), "score (logit)", ".1f")


def clocks(position: int) -> Picture:
    import torch

    from gptcore.lessons.by_hand import turn

    found = turn(torch.ones(16), position)
    return plots.rotation_dials(found.angles, [f"pair {n}" for n in range(1, 9)], labels=("angle", ""))


def wavelengths() -> Picture:
    from gptcore.positions import inverse_frequencies

    curves = {
        f"base {base:,}": [2 * math.pi / speed for speed in inverse_frequencies(64, float(base)).tolist()]
        for base in (10_000, 500_000)
    }
    return curve(list(range(1, 33)), curves, "pair", "tokens for one full turn", log_y=True)


def stretched() -> Picture:
    from gptcore.positions import inverse_frequencies

    plain = inverse_frequencies(32, 10_000.0).tolist()
    curves = {}
    for kind in ("linear", "ntk"):
        slower = inverse_frequencies(32, 10_000.0, RopeScaling(kind=kind, factor=4.0)).tolist()
        curves[kind] = [new / old for new, old in zip(slower, plain)]
    return curve(list(range(1, 17)), curves, "pair, the fastest first", "speed, of the trained one")


def sinusoids() -> Picture:
    from gptcore.positions import SinusoidalPositions

    table = SinusoidalPositions(16, 2, 24, 10_000.0).table.tolist()
    return grids.heatmap(
        table, rows=[str(n) for n in range(24)], columns=[str(n) for n in range(1, 17)], highest=None,
        signed=True, what="number", row_title="position", column_title="dimension", height=420,
    )  # fmt: skip


def learned_places() -> Picture:
    shape = PUBLISHED["GPT-2 small"].config
    lengths = (256, 1024, 8192)
    counts = [parameters(shape.replace(context_length=n))["positions"] / 1e6 for n in lengths]
    return bars([f"{n:,}" for n in lengths], counts, "million weights of positions", ".2f")


def score_by_distance() -> Picture:
    distances = tuple(range(0, 65, 4))
    return curve(
        distances, {"score": cached.score_left(32, 10_000.0, distances)}, "distance", "score left, of 1"
    )


def _map(layer: int, head: int) -> Picture:
    found = _trace()
    names = [chips.visible(token) for token in found.tokens]
    values = found.seen[f"layers.{layer - 1}.attention.weights"][0, head - 1].tolist()
    return grids.heatmap(values, rows=names, columns=names, revision="attention")


def attention_by_layer(layer: int) -> Picture:
    return _map(layer, 1)


def attention_by_head(head: int) -> Picture:
    return _map(2, head)


def _three(what: str):
    import torch

    from gptcore.lessons.by_hand import attention

    steps = attention(*(torch.tensor(one) for one in (Q, K, V)), torch.eye(2))
    names = [f"token {n}" for n in (1, 2, 3)]
    return grids.matrix(
        getattr(steps, what).tolist(),
        rows=names,
        columns=names,
        name=what,
        row_title="query",
        column_title="key",
    )


def raw_scores() -> Picture:
    return _three("raw")


def scaled_scores() -> Picture:
    return _three("scores")


def spread_of_scores() -> Picture:
    widths = (4, 16, 64, 256)
    curves = {"without √d": [math.sqrt(d) for d in widths], "with √d": [1.0 for _ in widths]}
    return curve(widths, curves, "head width d", "spread of a score of random numbers", log_x=True)


def seen_by(n: int, window: int | None = None) -> Picture:
    from gptcore.attention import allowed_pairs

    allowed = allowed_pairs(n, n, causal=True, window=window)
    values = [[1.0] * n for _ in range(n)] if allowed is None else allowed.float().tolist()
    names = [str(place) for place in range(1, n + 1)]
    back = "all before it" if window is None else f"those at most {window - 1} before it"
    return grids.heatmap(
        values, rows=names, columns=names, revision="mask", height=320, alt=f"A token sees itself and {back}."
    )


def windowed(window: int) -> Picture:
    return seen_by(10, window)


def cache_by_heads() -> Picture:
    shape = PUBLISHED["LLaMA 3 8B"].config
    sizes = [cache_bytes(shape.replace(n_kv_heads=k), 8192, bytes_per_value=2) / 1e9 for k in (32, 8, 1)]
    return bars(("32 key heads", "8, as published", "1"), sizes, "GB of cache at 8,192 tokens, bf16", ".2f")


def score_memory() -> Picture:
    lengths = (512, 1024, 2048, 4096, 8192)
    heads = PUBLISHED["LLaMA 3 8B"].config.n_heads
    return curve(
        lengths, {"all scores": [2 * heads * n * n / 1e9 for n in lengths]}, "tokens",
        "GB for one layer's scores, bf16",
    )  # fmt: skip


def induction() -> Picture:
    use = models.shipped()
    scores = forward.induction_scores(use)
    return grids.matrix(
        scores, rows=[f"layer {n + 1}" for n in range(len(scores))],
        columns=[f"head {n + 1}" for n in range(len(scores[0]))], name="induction score", signed=False,
    )  # fmt: skip


def norms(scale: int, shift: int, which: str) -> Picture:
    from gptcore.lessons.by_hand import both_norms

    before = [scale * x + shift for x in X]
    after = both_norms(X, float(scale), float(shift))[which]
    names = [f"number {n}" for n in range(1, 5)]
    return plots.columns(
        names, {"before": before, f"after {which}": after}, y_title="value", form=".2f", height=HEIGHT,
        revision="norms",
    )  # fmt: skip


def rms_scaled(scale: int) -> Picture:
    return _both_signs(norms(scale, 0, "RMSNorm"))


def layer_shifted(shift: int) -> Picture:
    return _both_signs(norms(1, shift, "LayerNorm"))


def _both_signs(picture: Picture) -> Picture:
    """Bars that may point down: the axis is left to the figure."""
    picture.figure.update_yaxes(autorange=True, range=None)
    return picture


def activations() -> Picture:
    from gptcore.lessons.by_hand import ACTIVATIONS, activation

    curves = {name: activation(name, PLACES).values for name in ACTIVATIONS}
    return curve(PLACES, curves, "what goes in", "what comes out")


def gated(tenths: int) -> Picture:
    from gptcore.lessons.by_hand import activation

    bent = activation("SiLU", PLACES).values
    up = tenths / 10
    curves = {f"up = {up:g}": [value * up for value in bent], "the gate alone": bent}
    return curve(PLACES, curves, "gate", "gate times up")


def feedforward_shares() -> Picture:
    shapes = {name: PRESETS[name].model for name in ("nano", "tiny", "small")}
    shapes |= {name: PUBLISHED[name].config for name in ("GPT-2 small", "LLaMA 2 7B", "Mistral 7B")}
    shares = [100 * share_of_feedforward(one) for one in shapes.values()]
    return bars(list(shapes), shares, "% of the weights in feed-forward layers", ".0f")


def gradients(settings: dict[str, tuple[str, bool]], n_layers: int = 16) -> Picture:
    curves = {}
    for name, (norm_position, residual) in settings.items():
        found = initialization.stack_profile(n_layers, norm_position, residual, NO_EPS).gradients
        curves[name] = [max(value, 1e-30) for value in found]
    return curve(list(range(n_layers + 1)), curves, "block", "size of the gradient, at birth", log_y=True)


def residuals() -> Picture:
    return gradients({"with residual": ("pre", True), "without": ("pre", False)})


def norm_places() -> Picture:
    return gradients({"norm before": ("pre", True), "norm on the sum": ("post", True)})


def backwards() -> Picture:
    return gradients({"gradient": ("pre", True)}, 8)


def shares_written() -> Picture:
    from gptcore.interpret.gradient_depth import written

    found = written(dict(_trace().seen), models.shipped().model.config)
    return _both_signs(
        bars([one.name for one in found], [100 * one.share for one in found], "% of the last stream", ".0f")
    )


def weights_of_small() -> Picture:
    found = summands(PRESETS["small"].model)
    return plots.treemap(
        {f"{one.part}: {one.name}": one.count for one in found}, whole="small", unit="weights", height=300,
        letters={f"{one.part}: {one.name}": {"embedding": "V", "attention": "H", "feedforward": "F"}.get(
            one.part, "C") for one in found}, revision="weights",
    )  # fmt: skip


def operations(n: int) -> Picture:
    found = forward_flops(PRESETS["nano"].model, n)
    letters = {"attention": "H", "scores": "T", "feedforward": "F", "output": "V"}
    return plots.treemap(
        found, whole="one pass", unit="operations", letters=letters, height=300, revision="flops"
    )


def by_layer() -> Picture:
    use = models.shipped()
    found = forward.layer_readings(use, SENTENCE[:-1])
    return curve(
        [one.layer for one in found], {"what is said in the end": [one.of_final[-1] for one in found]},
        "layer", "probability", y_range=(0.0, 1.0),
    )  # fmt: skip


def births() -> Picture:
    spreads = (0.02, 0.1, 0.5)
    found = initialization.initial_losses(spreads, True, 0)
    return bars(
        [f"spread {one:g}" for one in spreads], [one.loss for one in found], "first loss, nats", ".2f"
    )


def scaling() -> Picture:
    """The law of Hoffmann et al. (2022), section 3.3, for 20 tokens a weight."""
    sizes = (1e8, 1e9, 1e10, 1e11)
    losses = [1.69 + 406.4 / n**0.34 + 410.7 / (20 * n) ** 0.28 for n in sizes]
    return curve(
        sizes, {"loss": losses, "what stays": [1.69] * 4}, "weights", "loss, nats a token", log_x=True,
        y_range=(0.0, 5.0),
    )  # fmt: skip


def experts(active: int) -> Picture:
    """Eight feed-forward layers in the place of one, in the shape of Mixtral (Jiang et al. 2024)."""
    found = parameters(PUBLISHED["Mistral 7B"].config)
    rest = sum(found.values()) - found["feedforward"]
    router = PUBLISHED["Mistral 7B"].config.n_layers * PUBLISHED["Mistral 7B"].config.d_model * 8
    held = rest + router + 8 * found["feedforward"]
    used = rest + router + active * found["feedforward"]
    return bars(("held in memory", f"used by a token, {active} of 8"), [held / 1e9, used / 1e9],
                "billion weights", ".1f")  # fmt: skip


def shape_of(config: ModelConfig) -> Picture:
    sizes = {"layers": config.n_layers, "query heads": config.n_heads, "head width": config.head_dim,
             "width": config.d_model, "inner width": config.d_ff}  # fmt: skip
    return bars(list(sizes), list(sizes.values()), "size", log_y=True)


def shape_in_use() -> Picture:
    return shape_of(session.model_in_use().model.config)
