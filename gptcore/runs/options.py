"""The options of `python -m gptcore train` that say what to train: the command line and requests share them.

They stand in a module of their own so that `--help` need not wait for torch.
"""

import argparse


def add_request_options(parser: argparse.ArgumentParser) -> None:
    """Add the options from which `RunRequest.from_options` makes a request."""
    parser.add_argument("--preset", default="nano", help="nano, tiny, small or small_legacy")
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="FIELD=VALUE", dest="settings"
    )
    parser.add_argument("--corpus", default="stories", metavar="stories|book|FILE|hub:NAME")
    parser.add_argument("--tokenizer", metavar="story|gpt2|FILE|train")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=float, metavar="S", help="seconds of training")
    length.add_argument("--steps", type=int, metavar="N")
    parser.add_argument("--seed", type=int, metavar="N")
    add_plugin_option(parser)


def add_plugin_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plugin", metavar="FILE", help="Python of yours that adds parts; it is run first")
