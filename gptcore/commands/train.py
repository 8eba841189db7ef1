"""`train`: train a model and keep the run in a directory."""

import argparse

from gptcore.commands.progress import show_events
from gptcore.runs.execute import start
from gptcore.runs.request import RunRequest


def run(options: argparse.Namespace) -> None:
    show_events(start(RunRequest.from_options(options), options.out), options.json)
