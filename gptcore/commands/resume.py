"""`resume`: continue a run that was stopped or interrupted."""

import argparse

from gptcore.commands.progress import show_events
from gptcore.runs import execute


def run(options: argparse.Namespace) -> None:
    events = execute.resume(options.dir, plugin=options.plugin, corpus=options.corpus)
    show_events(events, options.json)
