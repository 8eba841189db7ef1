"""`resume`: continue a run that was stopped or interrupted."""

import argparse

from gptcore.commands.progress import show_events
from gptcore.runs import execute
from gptcore.training.tensorboard_log import log_events


def run(options: argparse.Namespace) -> None:
    named = {"plugin": options.plugin, "corpus": options.corpus, "text_field": options.text_field}
    events = execute.resume(options.dir, **named)
    show_events(log_events(events, options.dir) if options.log else events, options.json)
