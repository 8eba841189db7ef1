"""Chapter 1: how long the presets would take on this machine, by the processor's rate and by real training."""

import streamlit as st

from gptcore.experiments import budget, claims, shipped_results
from gptcore.experiments.measurements import setup
from pages.kit import claim, lab, words
from pages.labs.setup.machine import this_machine

CLAIM = "flops_over_peak"
FITS = 0.8  # fraction of the memory; the system and the activations of a step need the rest


@st.fragment
def how_long() -> None:
    """The FLOPs of each preset, and its training time at the matrix rate and at the measured training rate."""
    text = words.load("01_setup")
    with lab.frame("c1_time", text.read("lab_time_title")):
        budgets = budget.budgets()
        text.show("lab_time")
        claim.cards(CLAIM)
        own_result = claims.last_result(CLAIM)
        result = own_result or shipped_results.shipped_result(CLAIM)
        settings = {name: claims.Spread(*values) for name, values in result.settings.items()}
        peak = setup.peak_of(settings) * 1e9
        training_rates = {
            name: settings[setup.NANO if name == "nano" else setup.TINY].middle * 1e9 for name in budgets
        }
        text.show(
            "lab_time_says", fraction=training_rates["tiny"] / peak, factor=peak / training_rates["tiny"]
        )
        if own_result is None:
            text.show("lab_time_elsewhere", machine=result.machine)
        # Wider than a phone's screen; a data frame scrolls inside its own frame.
        st.dataframe(
            _table(budgets, peak, training_rates, this_machine().memory_bytes),
            hide_index=True,
            key="c1_time_table",
        )
        text.show("lab_time_caution")
        tiny, small = budgets["tiny"], budgets["small"]
        weights = small.n_parameters / tiny.n_parameters
        steps = small.flops_per_step / tiny.flops_per_step
        lab.predict(
            "c1_time",
            text.read("lab_time_predict", weights=weights),
            (f"{weights:.0f} times as long", f"{steps:.0f} times as long", "equally long"),
            right=1,
            because=text.read("lab_time_because", steps=steps, weights=weights),
        )


def _table(
    budgets, peak: float, training_rates: dict[str, float], memory: int | None
) -> dict[str, list[str]]:
    """The presets as columns of text."""
    columns: dict[str, list[str]] = {}

    def put(**row: str) -> None:
        for name, value in row.items():
            columns.setdefault(name.replace("_", " "), []).append(value)

    for name, preset in budgets.items():
        run_time = _readable_time(preset.seconds(training_rates[name]))
        if preset.steps is None:
            run_time += f", {preset.run_seconds / preset.seconds_per_step(training_rates[name]):,.0f} steps"
        put(
            preset=name,
            parameters=f"{preset.n_parameters / 1e6:,.1f} M",
            training_memory=f"{preset.state_bytes / 1e6:,.0f} MB",
            fits_here="–" if memory is None else "yes" if preset.state_bytes < FITS * memory else "no",
            FLOPs_per_step=f"{preset.flops_per_step / 1e9:,.0f} · 10⁹",
            step_at_peak_speed=_readable_time(preset.seconds_per_step(peak)),
            measured_step=_readable_time(preset.seconds_per_step(training_rates[name])),
            whole_run=run_time,
        )
    return columns


def _readable_time(seconds: float) -> str:
    """A time in a readable unit.

    >>> _readable_time(0.0123), _readable_time(90), _readable_time(86_400 * 3)
    ('12 ms', '1.5 min', '3.0 days')
    """
    for size, name in ((86_400 * 2, "days"), (7200, "h"), (60, "min")):
        if seconds >= size:
            unit_seconds = {"days": 86_400, "h": 3600, "min": 60}[name]
            return f"{seconds / unit_seconds:.1f} {name}"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def measured() -> None:
    """The claims about machines; the one on accelerators only if there is one."""
    text = words.load("01_setup")
    accelerator = this_machine().device != "cpu"
    text.show("measured")
    if not accelerator:
        text.show("measured_no_gpu")
    claim.cards(
        "one_speed",
        "more_threads",
        "bf16_doubles",
        "autocast_halves_memory",
        "autocast_default",
        "view_copies",
        *(["gpu_faster"] if accelerator else []),
    )
