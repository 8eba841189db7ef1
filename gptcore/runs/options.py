"""The options of each command of `python -m gptcore`, and examples of its use.

The command line and `RunRequest` share the options of `train`. Nothing here imports torch, so `--help` is fast.
"""

import argparse

EXPORTS = ("hf", "gguf", "script", "notebook")  # as `gptcore.formats.export.WRITERS` has them
GGUF_TYPES = ("f32", "f16", "q8_0")  # as `gptcore.formats.gguf_export.TYPES` has them
QUANTIZED_KINDS = ("int8", "int4")  # as `gptcore.generation.quantized.KINDS` has them
EXAMPLES = {  # of each command, shown at the end of its help
    "train": (
        "train --seconds 60 --out runs/mine",
        "train --corpus notes.txt --set d_model=64 norm=layernorm --steps 500 --out runs/notes",
        "train --from runs/mine --corpus rows.jsonl --text-field body --out runs/more",
    ),
    "resume": ("resume runs/mine",),
    "sample": ('sample runs/mine --prompt "Once upon a time" --temperature 0.7 --top-k 40',),
    "eval": ("eval runs/mine --data notes.txt",),
    "export": (
        "export runs/mine --to hf exported",
        "export runs/mine mine.ipynb --standalone",
        "export runs/mine mine.gguf",
    ),
    "stories": ("stories --n 3 --seed 7", "stories --check text.txt"),
    "tokenize": ('tokenize "The king found a golden ring." --tokenizer story',),
    "claims": ("claims --quick", "claims --only swiglu_gelu rmsnorm_faster --json"),
    "exercise": ("exercise softmax", "exercise softmax answer.py"),
    "bench": ("bench --json",),
    "arena": ("arena --set-b norm=layernorm --equal flops --out runs/arena",),
}


def examples(command: str) -> str | None:
    """Return the examples of a command as the last lines of its help, or None."""
    if command not in EXAMPLES:
        return None
    return "\n".join(["examples:", *(f"  python -m gptcore {words}" for words in EXAMPLES[command])])


def add_request_options(parser: argparse.ArgumentParser) -> None:
    """Add the options from which `RunRequest.from_options` makes a request."""
    parser.add_argument(
        "--preset",
        default="nano",
        help="Model and training settings to start from: nano (the default), tiny, small or small_legacy.",
    )
    parser.add_argument(
        "--from",
        metavar="DIR|FILE.gguf",
        dest="start_from",
        help="Run or model to train further, with its own shape and tokenizer. The learning rate is then a "
        "tenth of the preset's, unless you --set learning_rate.",
    )
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="FIELD=VALUE",
        dest="settings",
        help="Fields of ModelConfig or TrainConfig to change, such as d_model=64 learning_rate=0.001.",
    )
    parser.add_argument(
        "--corpus",
        nargs="+",
        default=["stories"],
        metavar="stories|book|FILE|FOLDER|hub:NAME",
        help="Text to train on: generated stories (the default), this book, files or folders (.txt, .jsonl, .csv, "
        ".parquet, gzip, a data set saved to disk), or a Hugging Face data set.",
    )
    add_text_field_option(parser)
    parser.add_argument(
        "--tokenizer",
        metavar="story|gpt2|FILE|train",
        help="Tokenizer: story, gpt2, a tokenizer file, or train to train one on the corpus. Default: the preset's.",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=float, metavar="S", help="Length of the training in seconds.")
    length.add_argument("--steps", type=int, metavar="N", help="Length of the training in steps.")
    parser.add_argument(
        "--seed", type=int, metavar="N", help="Seed of the initial weights, the batches and dropout."
    )
    add_plugin_option(parser)


def add_text_field_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--text-field",
        metavar="F",
        help="Field of .jsonl, or column of .csv and .parquet, that contains the text.",
    )


def add_plugin_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--plugin",
        metavar="FILE",
        help="Python file to run first. It may register norms, feed-forward layers or positions.",
    )


def _add_json_option(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="Print one JSON object per line.")


def _add_log_option(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--log",
        choices=("tensorboard",),
        help="Also write the losses and samples to DIR/tensorboard, for TensorBoard. Needs the package tensorboard.",
    )


def train_options(command: argparse.ArgumentParser) -> None:
    add_request_options(command)
    command.add_argument("--out", required=True, metavar="DIR", help="Folder of the run, new or empty.")
    _add_log_option(command)
    _add_json_option(command)


def resume_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("dir", metavar="DIR", help="Folder of a run that is not finished.")
    command.add_argument(
        "--corpus",
        nargs="+",
        metavar="FILE|FOLDER|hub:NAME",
        help="Text the run was trained on, if DIR does not contain it.",
    )
    add_text_field_option(command)
    add_plugin_option(command)
    _add_log_option(command)
    _add_json_option(command)


def sample_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "dir", metavar="DIR", nargs="?", help="Run or saved model. Default: the shipped model."
    )
    command.add_argument(
        "--prompt", default="", metavar="TEXT", help="Text to continue. Default: start a new document."
    )
    command.add_argument(
        "--max-new-tokens",
        type=int,
        default=200,
        metavar="N",
        help="Maximum number of tokens to generate. Default: 200.",
    )
    command.add_argument(
        "--temperature",
        type=float,
        default=0.8,
        metavar="T",
        help="Divisor of the logits. Below 1 the text is more predictable; 0 is greedy decoding. Default: 0.8.",
    )
    command.add_argument("--top-k", type=int, metavar="K", help="Sample only from the K most likely tokens.")
    command.add_argument(
        "--top-p",
        type=float,
        metavar="P",
        help="Sample only from the smallest set of tokens whose probabilities sum to P.",
    )
    command.add_argument(
        "--min-p",
        type=float,
        metavar="P",
        help="Drop tokens less than P times as likely as the most likely one.",
    )
    command.add_argument(
        "--repetition-penalty",
        type=float,
        default=1.0,
        metavar="R",
        help="Factor above 1 that lowers the logits of tokens already in the text. Default: 1, no penalty.",
    )
    command.add_argument("--seed", type=int, default=0, metavar="N", help="Seed of the sampling. Default: 0.")
    command.add_argument("--no-cache", action="store_true", help="Generate without the KV cache, to compare.")
    command.add_argument(
        "--quantize",
        choices=QUANTIZED_KINDS,
        help="Store weights in 8 or 4 bits: fewer bytes and more tokens per second, at some loss of accuracy.",
    )
    command.add_argument(
        "--past-context",
        choices=("stop", "slide"),
        default="stop",
        help="What to do at the end of the context: stop, or slide the window and continue. Default: stop.",
    )
    add_plugin_option(command)
    _add_json_option(command)


def eval_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("dir", metavar="DIR|FILE.gguf", help="Run or saved model.")
    command.add_argument(
        "--data",
        nargs="+",
        required=True,
        metavar="FILE|FOLDER|hub:NAME",
        help="Text to predict, as for train --corpus. Of the generated stories only those held out are read.",
    )
    add_text_field_option(command)
    command.add_argument(
        "--stride",
        type=int,
        metavar="N",
        help="Distance between the windows in which a document longer than the context is read. They overlap, and each "
        "scores only its new tokens, so a smaller N gives each token more context and takes longer. Default: half the "
        "context.",
    )
    add_plugin_option(command)
    _add_json_option(command)


def export_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("dir", metavar="DIR", help="Run or saved model.")
    command.add_argument(
        "--to",
        choices=EXPORTS,
        help="Format: hf, a folder that transformers loads; gguf, a file that llama.cpp and Ollama run; script or "
        "notebook, a file that trains such a model. Default: what the suffix of OUT says (.gguf, .py, .ipynb).",
    )
    command.add_argument(
        "--type",
        choices=GGUF_TYPES,
        help="Number format of the matrices in a GGUF file: 32-bit floats (default), 16-bit floats or 8-bit integers.",
    )
    command.add_argument(
        "--standalone",
        action="store_true",
        help="Put the model's source into the script or notebook, and its text and vocabulary into a folder beside it. "
        "It then runs where only torch and tiktoken are installed.",
    )
    command.add_argument(
        "out", metavar="OUT", help="New or empty folder for hf; new file for gguf, script and notebook."
    )


def stories_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--n", type=int, default=1, metavar="N", help="Number of stories. Default: 1.")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="Seed of the stories. Default: 0.")
    command.add_argument(
        "--check",
        metavar="FILE",
        help="Text file to score by the story grammar. Use - to read standard input.",
    )
    _add_json_option(command)


def tokenize_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("text", metavar="TEXT", help="Text to tokenize.")
    command.add_argument(
        "--tokenizer",
        default="story",
        metavar="story|gpt2|FILE",
        help="Tokenizer: story (the default), gpt2 or a tokenizer file.",
    )
    _add_json_option(command)


def claims_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--only",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="Claims to measure. Default: all.",
    )
    command.add_argument("--quick", action="store_true", help="Skip the claims that train models.")
    command.add_argument(
        "--timed",
        action="store_true",
        help="Measure only claims whose number is a time or a speed. Use a quiet machine.",
    )
    command.add_argument(
        "--write",
        metavar="FILE",
        help="File to write each result to, such as gptcore/data/claims.jsonl. It replaces the claim's earlier result.",
    )
    _add_json_option(command)


def exercise_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "name",
        metavar="NAME",
        nargs="?",
        help="Exercise, such as softmax. Without it, all exercises are listed.",
    )
    command.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        help="Python file with your solution. Without it, the stub is printed.",
    )
    _add_json_option(command)


def bench_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--only",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="Benchmarks to run. Default: all.",
    )
    _add_json_option(command)


def arena_options(command: argparse.ArgumentParser) -> None:
    for arm, family in (("a", "LLaMA-style"), ("b", "GPT-2-style")):
        command.add_argument(
            f"--style-{arm}",
            default=family,
            metavar="LLaMA-style|GPT-2-style",
            help=f"Architecture of arm {arm}. Default: {family}.",
        )
    for name, whose in (("", "both arms, or of the training"), ("-a", "arm a"), ("-b", "arm b")):
        command.add_argument(
            f"--set{name}",
            nargs="+",
            action="extend",
            default=[],
            metavar="FIELD=VALUE",
            help=f"Fields to change in the config of {whose}, such as n_layers=2.",
        )
    command.add_argument(
        "--equal",
        default="parameters",
        metavar="parameters|flops|seconds",
        help="Quantity that both arms have the same amount of. Default: parameters.",
    )
    command.add_argument(
        "--corpus",
        default="stories",
        metavar="stories|book|FILE",
        help="Text to train on: generated stories (the default), this book or a text file.",
    )
    length = command.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, metavar="N", help="Training steps of each run of arm a.")
    length.add_argument(
        "--seconds", type=float, metavar="S", help="Seconds of training of each run, with --equal seconds."
    )
    command.add_argument(
        "--rates", type=float, nargs="+", metavar="R", help="Learning rates to try in both arms."
    )
    command.add_argument(
        "--seeds", type=int, nargs="+", metavar="N", help="Seeds to train with in both arms."
    )
    command.add_argument(
        "--out",
        required=True,
        metavar="DIR",
        help="Folder of the runs. The same command continues where it stopped.",
    )
    command.add_argument(
        "--write",
        metavar="FOLDER",
        help="Folder to write the finished comparison to, such as gptcore/data/arena.",
    )
    add_plugin_option(command)
    _add_json_option(command)


def workers_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--once", action="store_true", help="Run one job from standard input and exit.")
