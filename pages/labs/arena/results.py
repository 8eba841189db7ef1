"""What the runs of a match show: the verdict, losses by rate, curves, story scores and samples."""

import math
from typing import Any

import streamlit as st

from gptcore.experiments import arena
from pages.kit import controls, curves, figures, plots, words

AGAINST = tuple(curves.AGAINST)


def at_their_best(results: list[arena.Result]) -> dict[str, float]:
    """Each arm's best learning rate by the mean of the results so far."""
    losses: dict[tuple[str, float], list[float]] = {}
    for result in results:
        losses.setdefault((result.arm, result.rate), []).append(result.loss)
    means = {key: sum(losses_at_rate) / len(losses_at_rate) for key, losses_at_rate in losses.items()}
    return {
        arm: min((mean, rate) for (other, rate), mean in means.items() if other == arm)[1]
        for arm in arena.ARMS
        if any(other == arm and math.isfinite(mean) for (other, _), mean in means.items())
    }


def show_verdict(text: words.Words, verdict: arena.Verdict, names: tuple[str, str]) -> None:
    """The verdict in a sentence, with caveats."""
    by_arm = dict(zip(arena.ARMS, names))
    if verdict.word == "open":
        st.info(text.read("verdict_open"), icon=":material/hourglass_empty:")
        return
    if verdict.word == "clear":
        st.success(
            text.read("verdict_clear", winner=by_arm[verdict.winner], difference=verdict.difference,
                      chance=verdict.chance),
            icon=":material/balance:",
        )  # fmt: skip
    else:
        st.info(
            text.read("verdict_noise", winner=by_arm[verdict.winner], difference=verdict.difference,
                      error=verdict.standard_error, chance=verdict.chance),
            icon=":material/balance:",
        )  # fmt: skip
    if verdict.apart and verdict.word != "clear":
        n = len(verdict.best["a"].losses)
        text.show("verdict_apart", n=n, orders=math.comb(2 * n, n))
    for arm, best in verdict.best.items():
        if best.edge is not None:
            text.show("verdict_edge", name=by_arm[arm], rate=best.rate, edge=best.edge)


def rates(text: words.Words, match: arena.Match, results: list[arena.Result], names: tuple[str, str]) -> None:
    """Final losses by learning rate and arm: as a table, and as curves with the band of the seeds."""
    losses_of = {
        (arm, rate): [result.loss for result in results if (result.arm, result.rate) == (arm, rate)]
        for arm in arena.ARMS
        for rate in match.rates
    }
    rows = []
    for rate in match.rates:
        row: dict[str, Any] = {text.read("table_rate"): f"{rate:g}"}
        for arm, name in zip(arena.ARMS, names):
            losses = sorted(losses_of[arm, rate])
            row[name] = f"{sum(losses) / len(losses):.3f}" if losses else "–"
            row[f"{arm.upper()}, {text.read('table_seeds')}"] = (
                " ".join(f"{loss:.3f}" for loss in losses) or "–"
            )
        rows.append(row)
    st.dataframe(rows, key="arena_table", hide_index=True)
    text.show("table_note")
    bands = {}
    for arm, name in zip(arena.ARMS, names):
        finite = [[loss for loss in losses_of[arm, rate] if math.isfinite(loss)] for rate in match.rates]
        bands[name] = plots.Band(
            *([fold(losses) if losses else None for losses in finite] for fold in (_mean, min, max))
        )
    # A band needs both ends everywhere: until then the means alone are drawn.
    bands = {name: band if None not in band.y else plots.Band(band.y) for name, band in bands.items()}
    picture = plots.curves(
        match.rates, bands, x_title=text.read("table_rate"), y_title=text.read("loss_axis"), log_x=True,
        height=300, revision="arena_rates", what=text.read("rates_what"),
    )  # fmt: skip
    figures.show(picture, key="arena_rates")


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def learning_curves(text: words.Words, by_arm: dict[str, list[curves.History]]) -> None:
    """Both arms at their best rates, by step, token or second, with bands."""
    text.show("way")
    timed = all(
        history.seconds and None not in history.seconds for runs in by_arm.values() for history in runs
    )
    options = AGAINST if timed else tuple(name for name in AGAINST if name != "seconds")
    against = controls.choice(text.read("way_against"), "arena_against", options)
    picture = curves.confidence_bands(by_arm, against=against)
    figures.show(picture, key="arena_way")


def abilities(text: words.Words, by_arm: dict[str, list[curves.History]]) -> None:
    """The four story scores at the end, the mean over an arm's seeds."""
    scores: dict[str, list[float]] = {}
    for name, histories in by_arm.items():
        ladders = [history.samples[-1]["ladder"] for history in histories if history.samples]
        by_rung = [
            [ladder[rung] for ladder in ladders if ladder and ladder.get(rung) is not None]
            for rung in curves.SCORES
        ]
        scores[name] = [_mean(values) if values else 0.0 for values in by_rung]
    text.show("ladder")
    picture = plots.columns(
        [rung for rung, _ in curves.SCORES.values()], scores, y_title=text.read("ladder_axis"), form=".0%",
        height=280, revision="arena_ladder",
    )  # fmt: skip
    picture.figure.update_yaxes(tickformat=".0%", range=[0, 1.2])
    figures.show(picture, key="arena_ladder")


def samples(text: words.Words, by_arm: dict[str, list[curves.History]]) -> None:
    """A sample of one run of each arm at the end."""
    count = min(len(histories) for histories in by_arm.values())
    seed = controls.choice(text.read("sample_seed"), "arena_sample", [str(seed) for seed in range(count)])
    for (name, histories), column in zip(by_arm.items(), st.columns(2, gap="large")):
        with column:
            st.caption(name)
            with st.container(height=200, border=True):
                written = histories[int(seed)].samples
                st.text(written[-1]["text"].strip() if written else "")
