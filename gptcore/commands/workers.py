"""`workers`: run background jobs; the app starts this command itself."""

import argparse


def run(options: argparse.Namespace) -> None:
    if options.once:
        from gptcore.runs.worker_process import run_from_standard_input as work  # needs no supervisor
    else:
        from gptcore.runs.supervisor import serve as work
    work()
