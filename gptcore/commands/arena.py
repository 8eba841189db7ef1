"""`arena`: compare two architectures trained on the same batches."""

import argparse
import json
import sys
from dataclasses import asdict, is_dataclass
from pathlib import Path

from gptcore.experiments.arena import EqualArms, Result, Verdict, parse_match
from gptcore.experiments.arena_runs import Stopped, run_match
from gptcore.experiments.played_matches import write_match
from gptcore.runs.jobs import ERROR
from gptcore.training import plugins


def run(options: argparse.Namespace) -> int:
    if options.plugin:
        plugins.load(options.plugin)
    match = parse_match(
        styles=(options.style_a, options.style_b),
        settings=(options.set, options.set_a, options.set_b),
        equal_in=options.equal,
        steps=options.steps,
        seconds=options.seconds,
        rates=options.rates,
        seeds=options.seeds,
    )
    show = _print_match_json if options.json else _print_match
    kinds = {EqualArms: "even", Result: "result", Verdict: "verdict"}
    try:
        for event in run_match(match, options.out, corpus=options.corpus, plugin=options.plugin):
            show(kinds[type(event)], event)
    except Stopped:
        print(f"{ERROR}stopped; run the same command again to continue", file=sys.stderr)
        return 130
    if options.write:
        names = (f"A: {options.style_a}", f"B: {options.style_b}")
        write_match(match, names, Path(options.out), Path(options.write))
    return 0


def _print_match_json(kind: str, event) -> None:
    values = asdict(event) if is_dataclass(event) else event._asdict()
    text = json.dumps({"event": kind, **values}, default=str)
    print(text.replace("Infinity", "null").replace("NaN", "null"), flush=True)


def _print_match(kind: str, event) -> None:
    if kind == "even":
        what = f"{event.field} from {event.before:,} to {event.after:,}" if event.field else "nothing"
        print(f"arm a: {event.a.n_parameters:,} parameters; arm b: {event.b.n_parameters:,}")
        print(f"changed in arm b: {what}")
        print(
            "remaining difference, arm b over arm a:",
            ", ".join(f"{name} {share:+.2%}" for name, share in event.remaining_difference().items()),
        )
    elif kind == "result":
        print(
            f"{event.arm}  learning rate {event.rate:<8g} seed {event.seed:<4} loss {event.loss:.4f}",
            flush=True,
        )
    else:
        for arm, best in event.best.items():
            seeds = ", ".join(f"{loss:.4f}" for loss in best.losses)
            edge = f" (the {best.edge} one tried)" if best.edge else ""
            print(f"arm {arm}, best learning rate {best.rate:g}{edge}: mean loss {best.mean:.4f} ({seeds})")
        lower = f"arm {event.winner} is {event.difference:.4f} nats lower, " if event.winner else ""
        chance = f"probability {event.chance:.3f} if both were equal: " if event.winner else ""
        print(f"{lower}{chance}{event.word}")
