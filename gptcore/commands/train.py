"""`train`: train a model and keep the run in a directory."""

import argparse

from gptcore.commands.progress import show_events
from gptcore.runs.execute import start
from gptcore.runs.request import RunRequest
from gptcore.training.tensorboard_log import log_events


def run(options: argparse.Namespace) -> None:
    events = start(RunRequest.from_options(options), options.out)
    show_events(log_events(events, options.out) if options.log else events, options.json)
