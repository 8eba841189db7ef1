"""Pictures of the block, one per term."""

from gptcore.config import PRESETS
from gptcore.interpret.gradient_depth import NO_EPS, residual_updates
from gptcore.lessons.by_hand import ACTIVATIONS, activation_curve, both_norms
from gptcore.lessons.provenance import feedforward_fraction
from gptcore.lessons.published_models import PUBLISHED
from pages.kit import initialization, models, plots
from pages.kit.figures import Picture
from pages.labs.glossary.pictures.frames import HEIGHT, bars, curve, sentence_trace, signed_axis

X = (3.2, -1.5, 0.8, -4.1)
INPUTS = tuple(z / 10 for z in range(-50, 51))


def norms(scale: int, shift: int, which: str) -> Picture:
    before = [scale * x + shift for x in X]
    after = both_norms(X, float(scale), float(shift))[which]
    names = [f"component {n}" for n in range(1, 5)]
    return plots.columns(
        names,
        {"before": before, f"after {which}": after},
        y_title="value",
        form=".2f",
        height=HEIGHT,
        revision="norms",
    )


def rmsnorm_of_scaled(scale: int) -> Picture:
    return signed_axis(norms(scale, 0, "RMSNorm"))


def layernorm_of_shifted(shift: int) -> Picture:
    return signed_axis(norms(1, shift, "LayerNorm"))


def activations() -> Picture:
    curves = {name: activation_curve(name, INPUTS).values for name in ACTIVATIONS}
    return curve(INPUTS, curves, "input", "output")


def swiglu_gate(tenths: int) -> Picture:
    gate = activation_curve("SiLU", INPUTS).values
    up = tenths / 10
    curves = {f"up = {up:g}": [value * up for value in gate], "gate alone": gate}
    return curve(INPUTS, curves, "gate input", "SiLU(gate) × up")


def feedforward_fractions() -> Picture:
    shapes = {name: PRESETS[name].model for name in ("nano", "tiny", "small")}
    shapes |= {name: PUBLISHED[name].config for name in ("GPT-2 small", "LLaMA 2 7B", "Mistral 7B")}
    percentages = [100 * feedforward_fraction(shape) for shape in shapes.values()]
    return bars(list(shapes), percentages, "% of parameters in feed-forward layers", ".0f")


def gradients(settings: dict[str, tuple[str, bool]], n_layers: int = 16) -> Picture:
    curves = {}
    for name, (norm_position, residual) in settings.items():
        sizes = initialization.stack_profile(n_layers, norm_position, residual, NO_EPS).gradient_norms
        curves[name] = [max(value, 1e-30) for value in sizes]
    return curve(list(range(n_layers + 1)), curves, "block", "gradient norm at initialization", log_y=True)


def residuals() -> Picture:
    return gradients({"with residual connections": ("pre", True), "without": ("pre", False)})


def norm_positions() -> Picture:
    return gradients({"pre-norm": ("pre", True), "post-norm": ("post", True)})


def backward_gradients() -> Picture:
    return gradients({"gradient": ("pre", True)}, 8)


def residual_update_fractions() -> Picture:
    updates = residual_updates(dict(sentence_trace().seen), models.shipped().config)
    return signed_axis(
        bars(
            [update.name for update in updates],
            [100 * update.fraction for update in updates],
            "% of the final residual stream",
            ".0f",
        )
    )
