"""Chapter 11: small pictures of a model at work, while it learns and while it writes, one a term."""

import math

from gptcore.account import cache_bytes, n_parameters, training_bytes
from gptcore.config import PRESETS, TrainConfig
from gptcore.lessons.published_models import PUBLISHED
from pages.kit import (
    chips,
    curves,
    event_log,
    forward,
    generation_figures,
    models,
    plots,
    prompt,
    story_data,
)
from pages.kit.chips import Chip
from pages.kit.figures import Picture
from pages.labs.glossary.pictures import HEIGHT, bars, curve

BEGINNING = "Once upon a time there lived a"
OUTSIDE = "The capital of France is"
SHARES = tuple(n / 100 for n in range(1, 101))
LLAMA = PUBLISHED["LLaMA 3 8B"]


def surprise() -> Picture:
    return curve(SHARES, {"loss": [-math.log(p) for p in SHARES]}, "probability given to what came", "nats")


def perplexity() -> Picture:
    losses = [n / 4 for n in range(21)]
    return curve(losses, {"perplexity": [math.exp(x) for x in losses]}, "loss, nats a token", "even choices")


def coin() -> Picture:
    """The entropy of a coin, in nats."""
    shares = SHARES[:-1]
    nats = [-p * math.log(p) - (1 - p) * math.log(1 - p) for p in shares]
    return curve(shares, {"entropy": nats}, "probability of heads", "nats", mark_x=0.5)


def shipped_losses() -> Picture:
    return curves.loss(event_log.shipped(), log_x=True, height=300)


def valley() -> Picture:
    import torch

    from gptcore.lessons.line_fit import loss_at

    x, y = torch.tensor([-1.0, 0.0, 1.0]), torch.tensor([-2.0, 0.0, 2.0])
    slopes = [n / 4 for n in range(17)]
    return curve(slopes, {"loss": [loss_at(x, y, w, 0.0) for w in slopes]}, "weight", "loss", mark_x=2.0)


def rates() -> Picture:
    import torch

    from gptcore.lessons.line_fit import descend, largest_rate

    x, y = torch.tensor([-1.5, 0.0, 1.5]), torch.tensor([-3.0, 0.0, 3.0])
    top = largest_rate(x)
    found = {
        f"{share:g} of the largest": [max(state.loss, 1e-6) for state in descend(x, y, share * top, 10)]
        for share in (0.05, 0.5, 1.05)
    }
    return curve(list(range(11)), found, "step", "loss", log_y=True)


def schedule(warmup: int) -> Picture:
    from gptcore.training.optim import learning_rate

    steps = 400
    config = TrainConfig(learning_rate=3e-3, min_learning_rate=1e-4, warmup_steps=warmup)
    places = list(range(0, steps, 4))
    return curve(
        places, {"learning rate": [learning_rate(n, config, steps) for n in places]}, "step", "learning rate"
    )


def _moved(gradient: float, rate: float, decay: float) -> list[float]:
    from gptcore.lessons.by_hand import adamw_step

    settings = {"rate": rate, "decay": decay, "beta1": 0.9, "beta2": 0.95}
    return [adamw_step(1.0, [gradient] * n, **settings).weight for n in range(1, 9)]


def equal_steps() -> Picture:
    found = {f"gradient {g:g}": _moved(g, 0.1, 0.0) for g in (0.01, 100.0)}
    return curve(list(range(1, 9)), found, "step", "the weight, from 1")


def decayed(percent: int) -> Picture:
    found = {"no gradient": _moved(0.0, 1.0, percent / 100)}
    return curve(list(range(1, 9)), found, "step", "the weight, from 1", y_range=(0.0, 1.05))


def clipped() -> Picture:
    sizes = [n / 10 for n in range(1, 41)]
    return curve(
        sizes,
        {"used": [min(size, 1.0) for size in sizes], "as it came": sizes},
        "size of the gradient",
        "size",
    )


def tokens_a_step(parts: int) -> Picture:
    one = PRESETS["nano"]
    batch, length = one.train.batch_size, one.model.context_length
    names = ("one batch", f"{parts} added up")
    return bars(names, [batch * length, parts * batch * length], "tokens a step")


def held() -> Picture:
    n = n_parameters(PRESETS["small"].model)
    sizes = {"the weights": 4 * n, "to go on training": training_bytes(PRESETS["small"].model)}
    return bars(list(sizes), [one / 1e6 for one in sizes.values()], "MB, the preset small", ".0f")


def as_bits(tenths: int) -> list[Chip]:
    from gptcore.lessons.number_formats import stored

    found = stored(tenths / 10, "bf16")
    return [
        Chip(found.sign, "plain", "sign"),
        Chip(found.exponent, "new", "exponent"),
        Chip(found.fraction, "chosen", "fraction"),
        Chip(f"= {found.value:g}", "faint", "what is kept"),
    ]


def dealt_out(processes: int) -> Picture:
    one = PRESETS["small"]
    each = one.train.batch_size * one.model.context_length / processes
    return bars([f"process {n + 1}" for n in range(processes)], [each] * processes, "tokens of a batch")


def _next(text: str, n: int = 9) -> tuple[list[str], list[float]]:
    use = models.shipped()
    (first, *_) = forward.continuation(use, text, 1, n_alternatives=n)
    names, shares = zip(*first[1])
    return list(names), list(shares)


def _filtered(**filters) -> Picture:
    import torch

    from gptcore.generation.sampling import Sampling
    from gptcore.lessons.by_hand import cut

    names, shares = _next(BEGINNING)
    after = cut(torch.tensor(shares), Sampling(**filters)).after.tolist()
    return generation_figures.probability_bars(names, after, kept=[share > 0 for share in after])


def temperature(tenths: int) -> Picture:
    return _filtered(temperature=tenths / 10)


def top_k(k: int) -> Picture:
    return _filtered(top_k=k)


def top_p(percent: int) -> Picture:
    return _filtered(top_p=percent / 100)


def min_p(percent: int) -> Picture:
    return _filtered(min_p=percent / 100)


def greedy() -> Picture:
    return _filtered(temperature=0.0)


def softmax(tenths: int) -> Picture:
    import torch

    from gptcore.lessons.by_hand import softmax as steps

    scores = (2.0, 1.0, 0.5, 0.1)
    shares = steps(torch.tensor(scores), tenths / 10).shares.tolist()
    return generation_figures.probability_bars([f"score {one:g}" for one in scores], shares)


def penalised(tenths: int) -> Picture:
    import torch

    from gptcore.generation.sampling import Sampling, distribution

    scores = torch.tensor([2.0, 1.0, 0.5, -0.5])
    after = distribution(scores, Sampling(repetition_penalty=tenths / 10), torch.tensor([0, 3])).tolist()
    names = ("2, said before", "1", "0.5", "−0.5, said before")
    return generation_figures.probability_bars(names, after)


def drawn(percent: int) -> Picture:
    import torch

    from gptcore.lessons.by_hand import drawn as lands

    names, shares = _next(BEGINNING)
    return generation_figures.probability_bars(
        names, shares, chosen=lands(torch.tensor(shares), percent / 100)
    )


def written(seed: int) -> list[Chip]:
    use = models.shipped()
    found = forward.continuation(use, BEGINNING, 16, temperature=0.8, seed=seed)
    return [
        *prompt.token_chips(BEGINNING, use.tokenizer),
        *(Chip(chips.visible(one), "new") for one, _ in found),
    ]


def cache_growth() -> Picture:
    lengths = (0, 2048, 4096, 6144, 8192)
    found = {
        name: [cache_bytes(PUBLISHED[name].config, n, bytes_per_value=2) / 1e9 for n in lengths]
        for name in ("LLaMA 2 7B", "LLaMA 3 8B")
    }
    return curve(lengths, found, "tokens kept", "GB of cache, bf16")


def pairs() -> Picture:
    lengths = (32, 64, 128, 256)
    found = {
        "without a cache": [n * (n + 1) * (n + 2) / 6 for n in lengths],
        "with a cache": [n * (n + 1) / 2 for n in lengths],
    }
    return curve(lengths, found, "tokens written", "pairs compared, one head", log_y=True)


def guessed_ahead(n: int) -> Picture:
    from gptcore.generation.speculative import expected_tokens

    chances = SHARES[::5]
    return curve(
        chances, {f"{n} guessed": [expected_tokens(a, n) for a in chances]}, "share of guesses accepted",
        "tokens for one pass of the large model",
    )  # fmt: skip


def beams(width: int) -> Picture:
    size = models.shipped().model.config.vocab_size
    return bars(("texts kept", "continuations scored a step"), [width, width * size], "texts", log_y=True)


def chat() -> list[Chip]:
    from gptcore.training.finetune import TEMPLATE

    tokenizer = story_data.story_tokenizer()
    parts = ((TEMPLATE.format(name="Mira"), "chosen"), ("Once upon a time Mira lived near the sea.", "new"))
    return [
        Chip(chips.visible(tokenizer.token_text(i)), kind)
        for text, kind in parts
        for i in tokenizer.encode(text)
    ]


def after_instruction() -> Picture:
    return generation_figures.probability_bars(*_next("Story about Mira:\n", 6))


def outside() -> Picture:
    return generation_figures.probability_bars(*_next(OUTSIDE, 6))


def low_rank(rank: int) -> Picture:
    width = LLAMA.config.d_model
    return bars(
        ("the whole matrix", f"two thin ones of rank {rank}"), [width * width, 2 * rank * width],
        "weights to train", log_y=True,
    )  # fmt: skip


def preference_pull() -> Picture:
    margins = [n / 2 for n in range(-20, 41)]
    found = {
        f"β = {beta:g}": [beta / (1 + math.exp(beta * margin)) for margin in margins] for beta in (0.1, 0.5)
    }
    return curve(margins, found, "margin already won, in nats", "pull on the margin")


def fewer_bits() -> Picture:
    bits = (32, 16, 8, 4)
    return bars(
        [f"{n} bits" for n in bits], [LLAMA.n_parameters * n / 8e9 for n in bits], "GB, LLaMA 3 8B", ".1f"
    )


def late_skills() -> Picture:
    picture = curves.finding(event_log.shipped())
    picture.figure.update_layout(height=HEIGHT + 100)
    return picture


def six_operations() -> Picture:
    sizes = {"forward": 2.0, "back, by the inputs": 2.0, "back, by the weights": 2.0}
    return plots.columns(
        list(sizes), {"operations": list(sizes.values())}, y_title="operations a weight and token", form=".0f",
        height=HEIGHT, revision="six",
    )  # fmt: skip
