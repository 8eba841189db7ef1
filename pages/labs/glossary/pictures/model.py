"""Pictures of the whole model, one a term."""

from gptcore.account import forward_flops, parameters, summands
from gptcore.config import PRESETS, ModelConfig
from gptcore.lessons.published_models import PUBLISHED
from pages.kit import forward, initialization, models, plots, session
from pages.kit.figures import Picture
from pages.labs.glossary.pictures.frames import HEIGHT, SENTENCE, bars, curve


def parameters_of_small() -> Picture:
    counted = summands(PRESETS["small"].model)
    return plots.treemap(
        {f"{summand.part}: {summand.name}": summand.count for summand in counted},
        whole="small",
        unit="parameters",
        height=300,
        letters={
            f"{summand.part}: {summand.name}": {"embedding": "V", "attention": "H", "feedforward": "F"}.get(
                summand.part, "C"
            )
            for summand in counted
        },
        revision="weights",
    )


def forward_flops_by_part(n: int) -> Picture:
    flops = forward_flops(PRESETS["nano"].model, n)
    letters = {"attention": "H", "scores": "T", "feedforward": "F", "output": "V"}
    return plots.treemap(
        flops, whole="one forward pass", unit="FLOPs", letters=letters, height=300, revision="flops"
    )


def logit_lens() -> Picture:
    use = models.shipped()
    readings = forward.layer_readings(use, SENTENCE[:-1])
    return curve(
        [reading.layer for reading in readings],
        {"final prediction": [reading.of_final[-1] for reading in readings]},
        "layer",
        "probability",
        y_range=(0.0, 1.0),
    )


def initial_losses() -> Picture:
    spreads = (0.02, 0.1, 0.5)
    starts = initialization.initial_losses(spreads, True, 0)
    return bars(
        [f"std {spread:g}" for spread in spreads],
        [start.loss for start in starts],
        "initial loss, nats per token",
        ".2f",
    )


def scaling_law() -> Picture:
    """The law of Hoffmann et al. (2022), section 3.3, for 20 tokens a weight."""
    sizes = (1e8, 1e9, 1e10, 1e11)
    losses = [1.69 + 406.4 / n**0.34 + 410.7 / (20 * n) ** 0.28 for n in sizes]
    return curve(
        sizes,
        {"loss": losses, "irreducible loss": [1.69] * 4},
        "parameters",
        "loss, nats per token",
        log_x=True,
        y_range=(0.0, 5.0),
    )


def experts(active: int) -> Picture:
    """Eight feed-forward layers in the place of one, in the shape of Mixtral (Jiang et al. 2024)."""
    counts = parameters(PUBLISHED["Mistral 7B"].config)
    rest = sum(counts.values()) - counts["feedforward"]
    router = PUBLISHED["Mistral 7B"].config.n_layers * PUBLISHED["Mistral 7B"].config.d_model * 8
    held = rest + router + 8 * counts["feedforward"]
    used = rest + router + active * counts["feedforward"]
    return bars(
        ("stored", f"active per token, {active} of 8 experts"),
        [held / 1e9, used / 1e9],
        "billion parameters",
        ".1f",
    )


def shape_of(config: ModelConfig) -> Picture:
    sizes = {
        "layers": config.n_layers,
        "query heads": config.n_heads,
        "head width": config.head_dim,
        "model width": config.d_model,
        "feed-forward width": config.d_ff,
    }
    return bars(list(sizes), list(sizes.values()), "size", log_y=True)


def shape_in_use() -> Picture:
    return shape_of(session.model_in_use().config)


def six_flops_per_weight() -> Picture:
    sizes = {"forward": 2.0, "backward, input gradients": 2.0, "backward, parameter gradients": 2.0}
    return plots.columns(
        list(sizes),
        {"FLOPs": list(sizes.values())},
        y_title="FLOPs per parameter and token",
        form=".0f",
        height=HEIGHT,
        revision="six",
    )
