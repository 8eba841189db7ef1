"""The options of each command of `python -m gptcore`; the command line and requests share those of `train`.

They stand in a module of their own so that `--help` need not wait for torch.
"""

import argparse

EXPORTS = ("hf", "script", "notebook")  # as `gptcore.formats.export.WRITERS` has them


def add_request_options(parser: argparse.ArgumentParser) -> None:
    """Add the options from which `RunRequest.from_options` makes a request."""
    parser.add_argument(
        "--preset", default="nano", help="the config to start from: nano, tiny, small or small_legacy"
    )
    parser.add_argument(
        "--from",
        metavar="DIR|FILE.gguf",
        dest="start_from",
        help="continue training this run or model with its tokenizer, at a tenth of the preset's learning rate "
        "unless --set learning_rate=R says otherwise",
    )
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="FIELD=VALUE",
        dest="settings",
        help="change fields of the model's or the training's config, such as d_model=64",
    )
    parser.add_argument(
        "--corpus",
        nargs="+",
        default=["stories"],
        metavar="stories|book|FILE|FOLDER|hub:NAME",
        help="the text to train on: generated stories, this book, files or folders of text (.txt, .jsonl, .csv, "
        ".parquet, gzip, a data set saved to disk), or a Hugging Face data set",
    )
    add_text_field_option(parser)
    parser.add_argument(
        "--tokenizer",
        metavar="story|gpt2|FILE|train",
        help="story, gpt2, a tokenizer file, or train: train one on the corpus",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=float, metavar="S", help="seconds of training")
    length.add_argument("--steps", type=int, metavar="N", help="number of training steps")
    parser.add_argument(
        "--seed", type=int, metavar="N", help="seed of the initial weights, the batches and dropout"
    )
    add_plugin_option(parser)


def add_text_field_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--text-field",
        metavar="F",
        help="the field or column of .jsonl, .csv and .parquet that holds the text",
    )


def add_plugin_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plugin", metavar="FILE", help="run this Python file first; it may register parts")


def _add_json_option(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON, one object per line")


def train_options(command: argparse.ArgumentParser) -> None:
    add_request_options(command)
    command.add_argument("--out", required=True, metavar="DIR", help="a new or empty directory")
    _add_json_option(command)


def resume_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("dir", metavar="DIR", help="the directory of a run that is not finished")
    command.add_argument(
        "--corpus",
        nargs="+",
        metavar="FILE|FOLDER|hub:NAME",
        help="the text it was trained on, where DIR does not hold it",
    )
    add_text_field_option(command)
    add_plugin_option(command)
    _add_json_option(command)


def sample_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "dir", metavar="DIR", nargs="?", help="a run or saved model; the shipped one if left out"
    )
    command.add_argument("--prompt", default="", metavar="TEXT", help="empty: start a new document")
    command.add_argument(
        "--max-new-tokens", type=int, default=200, metavar="N", help="generate at most N tokens"
    )
    command.add_argument(
        "--temperature",
        type=float,
        default=0.8,
        metavar="T",
        help="divide the logits by T; 0 is greedy decoding",
    )
    command.add_argument("--top-k", type=int, metavar="K", help="sample from the K most likely tokens")
    command.add_argument(
        "--top-p",
        type=float,
        metavar="P",
        help="sample from the smallest set of tokens with total probability P",
    )
    command.add_argument(
        "--min-p", type=float, metavar="P", help="drop tokens less likely than P times the most likely one"
    )
    command.add_argument(
        "--repetition-penalty",
        type=float,
        default=1.0,
        metavar="R",
        help="lower the logits of tokens that have occurred; 1 turns it off",
    )
    command.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the random draws")
    command.add_argument("--no-cache", action="store_true", help="do not use the KV cache")
    command.add_argument(
        "--past-context",
        choices=("stop", "slide"),
        default="stop",
        help="at the end of the context: stop, or slide the window and go on",
    )
    add_plugin_option(command)
    _add_json_option(command)


def export_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("dir", metavar="DIR", help="a run or saved model")
    command.add_argument(
        "--to",
        required=True,
        choices=EXPORTS,
        help="hf: a folder that transformers loads; script, notebook: a file that trains such a model",
    )
    command.add_argument("out", metavar="OUT", help="a new or empty directory; a new file")


def stories_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--n", type=int, default=1, metavar="N", help="number of stories")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the stories")
    command.add_argument("--check", metavar="FILE", help="score this text; - reads standard input")
    _add_json_option(command)


def tokenize_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("text", metavar="TEXT", help="the text to split")
    command.add_argument(
        "--tokenizer", default="story", metavar="story|gpt2|FILE", help="story, gpt2 or a tokenizer file"
    )
    _add_json_option(command)


def claims_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--only", nargs="+", action="extend", default=[], metavar="NAME", help="measure these claims only"
    )
    command.add_argument("--quick", action="store_true", help="leave out the claims that train models")
    command.add_argument(
        "--timed",
        action="store_true",
        help="only claims whose number is a time or a speed: for a quiet machine",
    )
    command.add_argument(
        "--write",
        metavar="FILE",
        help="put each result into a file such as gptcore/data/claims.jsonl, by name",
    )
    _add_json_option(command)


def exercise_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", metavar="NAME", help="the exercise, such as softmax")
    command.add_argument("file", metavar="FILE", nargs="?", help="the Python file with your solution")
    _add_json_option(command)


def bench_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--only", nargs="+", action="extend", default=[], metavar="NAME", help="run these benchmarks only"
    )
    _add_json_option(command)


def arena_options(command: argparse.ArgumentParser) -> None:
    for arm, family in (("a", "LLaMA-style"), ("b", "GPT-2-style")):
        command.add_argument(
            f"--style-{arm}",
            default=family,
            metavar="LLaMA-style|GPT-2-style",
            help=f"the architecture of arm {arm}",
        )
    for name, whose in (("", "both arms, or of the training"), ("-a", "arm a"), ("-b", "arm b")):
        command.add_argument(
            f"--set{name}",
            nargs="+",
            action="extend",
            default=[],
            metavar="FIELD=VALUE",
            help=f"change fields of the config of {whose}",
        )
    command.add_argument(
        "--equal",
        default="parameters",
        metavar="parameters|flops|seconds",
        help="what both arms have the same amount of",
    )
    command.add_argument(
        "--corpus",
        default="stories",
        metavar="stories|book|FILE",
        help="the text to train on: generated stories, this book or a text file",
    )
    length = command.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, metavar="N", help="training steps of each run of arm a")
    length.add_argument(
        "--seconds", type=float, metavar="S", help="seconds of training of each run, with --equal seconds"
    )
    command.add_argument(
        "--rates", type=float, nargs="+", metavar="R", help="the learning rates to try, each in both arms"
    )
    command.add_argument(
        "--seeds", type=int, nargs="+", metavar="N", help="the seeds to train with, each in both arms"
    )
    command.add_argument(
        "--out", required=True, metavar="DIR", help="a directory of runs; finished ones are kept"
    )
    command.add_argument(
        "--write", metavar="FOLDER", help="put the finished match into a folder such as gptcore/data/arena"
    )
    add_plugin_option(command)
    _add_json_option(command)


def workers_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--once", action="store_true", help="run one job from standard input and exit")
