"""Pictures of the whole model, one per term."""

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
    deviations = (0.02, 0.1, 0.5)
    starts = initialization.initial_losses(deviations, True, 0)
    return bars(
        [f"std {deviation:g}" for deviation in deviations],
        [start.loss for start in starts],
        "initial loss, nats per token",
        ".2f",
    )


def scaling_law() -> Picture:
    """The law of Hoffmann et al. (2022), section 3.3, at 20 tokens per parameter."""
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


def output_layer_fractions() -> Picture:
    """The percentage of an untied output layer, for two presets and three published models."""
    shapes = {name: PRESETS[name].model for name in ("nano", "small")}
    shapes |= {name: PUBLISHED[name].config for name in ("Llama 3.2 1B", "Mistral 7B", "LLaMA 3 8B")}
    counts = [parameters(shape.replace(tie_embeddings=False)) for shape in shapes.values()]
    return bars(
        list(shapes),
        [100 * count["output"] / sum(count.values()) for count in counts],
        "% of parameters in the output layer",
        ".1f",
    )


def experts(active: int) -> Picture:
    """Eight feed-forward layers in place of one, in the shape of Mixtral (Jiang et al. 2024)."""
    counts = parameters(PUBLISHED["Mistral 7B"].config)
    rest = sum(counts.values()) - counts["feedforward"]
    router = PUBLISHED["Mistral 7B"].config.n_layers * PUBLISHED["Mistral 7B"].config.d_model * 8
    stored = rest + router + 8 * counts["feedforward"]
    computed = rest + router + active * counts["feedforward"]
    return bars(
        ("stored", f"active per token, {active} of 8 experts"),
        [stored / 1e9, computed / 1e9],
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


def shape_of_small() -> Picture:
    return shape_of(PRESETS["small"].model)


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
