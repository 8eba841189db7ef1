"""The command line: `python -m gptcore train | resume | sample | … | bench`.

Each command is a module of `gptcore.commands`, imported when it runs: `--help` and an error in the options then do not
wait for torch. Bad input ends with one sentence on standard error and exit status 2.
"""

import argparse
import codecs
import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from gptcore import __version__
from gptcore.runs import options as command_options
from gptcore.runs.jobs import ERROR, error_sentence, is_lack_of_memory

ESCAPES = "gptcore.escapes"  # the name of a way to handle what UTF-8 cannot hold


COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "train": ("train a model and save the run in a folder", command_options.train_options),
    "resume": ("resume a run that was stopped or interrupted", command_options.resume_options),
    "sample": ("generate text with a trained model", command_options.sample_options),
    "eval": ("measure how well a model predicts a text", command_options.eval_options),
    "export": ("export a model to another format", command_options.export_options),
    "stories": ("print stories, or score a text by the story grammar", command_options.stories_options),
    "tokenize": ("print the tokens of a text", command_options.tokenize_options),
    "claims": ("measure the field's claims on this machine", command_options.claims_options),
    "exercise": ("check the solution of an exercise, or print its stub", command_options.exercise_options),
    "bench": ("benchmark Glassbox against the usual libraries", command_options.bench_options),
    "arena": ("compare two architectures trained on the same batches", command_options.arena_options),
    "workers": ("run background jobs (started by the app)", command_options.workers_options),
}  # by name: what `--help` says of a command, and what adds its options


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands and their options."""
    top = argparse.ArgumentParser(
        prog="python -m gptcore",
        description="Train, run and measure small language models. `COMMAND --help` explains a command.",
    )
    top.add_argument("--version", action="version", version=f"glassbox {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (summary, add_options) in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=command_options.examples(name),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_options(command)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status: 2 for bad input, 1 for an answer that is not right, or for a bug."""
    _prepare_streams()
    options = parser().parse_args(arguments)
    try:
        if any("\0" in word for word in arguments or ()):  # a shell cannot send one
            raise ValueError("an argument contains a NUL character; remove it")
        command = import_module(f"gptcore.commands.{options.command}")
        status = command.run(options) or 0
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader of a pipe went away
        _drop_output()
        return 0
    except KeyboardInterrupt:  # before there is anything to save
        return 130
    except (
        BaseException
    ) as error:  # a part of tiktoken that panics raises no Exception, nor does a plugin that exits
        if os.environ.get("LOCAL_RANK", "0") == "0":  # of torchrun's processes on a machine one says it
            with contextlib.suppress(OSError):
                print(f"{ERROR}{_explained(error, getattr(options, 'plugin', None))}", file=sys.stderr)
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            return 2 if _is_bad_input(error, options) else 1
        _drop_output()  # a full disk: the interpreter would try again when it ends
        return 2


def _is_bad_input(error: BaseException, options: argparse.Namespace) -> bool:
    known = isinstance(error, (ValueError, OSError)) or is_lack_of_memory(error)
    return known or bool(getattr(options, "plugin", None))


def _explained(error: BaseException, plugin: str | None) -> str:
    """Return an error as one sentence; one that no command raises on purpose with the line of code it comes from."""
    if isinstance(error, (ValueError, OSError)):
        return error_sentence(error)
    if is_lack_of_memory(error):
        return "there is not enough memory; use a smaller model, batch or text"
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if frame.filename in (plugin, __file__) or "gptcore" in frame.filename]
    last = (ours or frames)[-1]
    what = f"{type(error).__name__}: {error_sentence(error)} ({Path(last.filename).name}, line {last.lineno})"
    if plugin is not None:
        return f"the plugin {plugin} caused {what}; check the parts that it adds"
    return f"unexpected error; please report it with your command: {what}"


def _prepare_streams() -> None:
    """Have standard streams that can take any text: closed ones opened, and UTF-8 whatever the console's encoding."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # in this order each gets its own number
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))
    codecs.register_error(ESCAPES, _escape)
    for stream, errors in ((sys.stdout, ESCAPES), (sys.stderr, "backslashreplace")):
        with contextlib.suppress(AttributeError):  # a stream that a test or a notebook has put there
            stream.reconfigure(encoding="utf-8", errors=errors)


def _escape(error: UnicodeError) -> tuple[str, int]:
    r"""Write half a character, as bytes that are not UTF-8 give, as \uXXXX: in a JSON string that means the same."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2)), error.end


def _drop_output() -> None:
    """Send what is left to be printed nowhere."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    status = main()
    if os.environ.get("WORLD_SIZE", "1") != "1":  # one of several under torchrun
        from gptcore.training.distributed import exit_process

        exit_process(status)
    sys.exit(status)
