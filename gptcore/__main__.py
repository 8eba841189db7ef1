"""The command line: `python -m gptcore train | resume | sample | … | bench`.

Each command is one function below, which imports what it needs: `--help` and an error in the options then do not wait
for torch. Bad input ends with one sentence on standard error and exit status 2.
"""

import argparse
import codecs
import contextlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gptcore
from gptcore.runs import options as command_options
from gptcore.runs.jobs import ERROR, error_sentence, is_lack_of_memory

if TYPE_CHECKING:
    from gptcore.generation.sampling import Step
    from gptcore.model import GPT
    from gptcore.tokenizer import Tokenizer
    from gptcore.training.events import Event


LARGEST_COUNT = 1_000_000  # of stories, or of tokens to sample
LARGEST_TEXT = 100_000_000  # bytes that are scored
ESCAPES = "gptcore.escapes"  # the name of a way to handle characters that an encoding lacks


def parser() -> argparse.ArgumentParser:
    """Return the commands and their options."""
    top = argparse.ArgumentParser(prog="python -m gptcore", description=__doc__.split("\n")[0])
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for run, (summary, add_options) in COMMANDS.items():
        command = commands.add_parser(run.__name__, help=summary)
        command.set_defaults(run=run)
        add_options(command)
    return top


def train(options: argparse.Namespace) -> None:
    from gptcore.runs.execute import start
    from gptcore.runs.request import RunRequest

    _show_events(start(RunRequest.from_options(options), options.out), options.json)


def resume(options: argparse.Namespace) -> None:
    from gptcore.runs.execute import resume

    events = resume(options.dir, plugin=options.plugin, corpus=options.corpus)
    _show_events(events, options.json)


def _show_events(events: Generator["Event"], as_json: bool) -> None:
    show = _print_json if as_json else _Progress()
    with contextlib.closing(events):  # an output that cannot be written ends the run too
        for event in events:
            show(event)


def arena(options: argparse.Namespace) -> int:
    from gptcore.experiments.arena import EqualArms, Result, Verdict, parse_match
    from gptcore.experiments.arena_runs import Stopped, run_match
    from gptcore.experiments.played_matches import write_match

    _load_plugin(options)
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
        print(f"{ERROR}stopped; the same command goes on where it ended", file=sys.stderr)
        return 130
    if options.write:
        names = (f"A: {options.style_a}", f"B: {options.style_b}")
        write_match(match, names, Path(options.out), Path(options.write))
    return 0


def _print_match_json(kind: str, event) -> None:
    from dataclasses import asdict, is_dataclass

    values = asdict(event) if is_dataclass(event) else event._asdict()
    text = json.dumps({"event": kind, **values}, default=str)
    print(text.replace("Infinity", "null").replace("NaN", "null"), flush=True)


def _print_match(kind: str, event) -> None:
    if kind == "even":
        what = f"{event.field} from {event.before:,} to {event.after:,}" if event.field else "nothing"
        print(f"arm a: {event.a.n_parameters:,} parameters; arm b: {event.b.n_parameters:,}")
        print(f"adjusted in arm b: {what}")
        print(
            "left, b against a:",
            ", ".join(f"{name} {share:+.2%}" for name, share in event.remaining_difference().items()),
        )
    elif kind == "result":
        print(f"{event.arm}  rate {event.rate:<8g} seed {event.seed:<4} loss {event.loss:.4f}", flush=True)
    else:
        for arm, best in event.best.items():
            seeds = ", ".join(f"{loss:.4f}" for loss in best.losses)
            edge = f", the {best.edge} rate tried" if best.edge else ""
            print(f"arm {arm} at its best, rate {best.rate:g}{edge}: mean {best.mean:.4f} ({seeds})")
        lower = f"{event.winner} is {event.difference:.4f} nats lower, " if event.winner else ""
        chance = f"chance {event.chance:.3f} between equals: " if event.winner else ""
        print(f"{lower}{chance}{event.word}")


def _print_json(event) -> None:
    print(event.to_json(), flush=True)


class _Progress:
    """Shows a person how a run goes: a bar, the loss, a text now and then."""

    def __init__(self):
        self.bar = None

    def __call__(self, event) -> None:
        from tqdm import tqdm

        if event.event == "start":
            for note in event.notes:
                print(note)
            print(
                f"{event.n_parameters:,} parameters on {event.device}, {event.precision}, {event.attention_path} "
                f"attention, {event.threads} thread(s), {event.total_steps:,} steps"
            )
            self.bar = tqdm(total=event.total_steps, unit="step")
        self.bar = self.bar if self.bar is not None else tqdm(unit="step", initial=event.step)
        if event.event == "step":
            self.bar.update()
            self.bar.set_postfix(
                loss=f"{event.loss:.3f}", tokens_per_second=f"{event.tokens_per_second:,.0f}"
            )
        elif event.event == "eval":
            self.bar.write(f"step {event.step}: validation loss {event.val_loss:.3f}")
        elif event.event == "sample":
            self.bar.write(f"\n{event.text.strip()}\n")
        elif event.event in ("done", "failed"):
            self.bar.close()
            print(f"{event.event}: {event.reason}")


def sample(options: argparse.Namespace) -> None:
    from gptcore.checkpoint import SHIPPED
    from gptcore.formats import load_with_tokenizer

    _load_plugin(options)
    _check_count("max-new-tokens", options.max_new_tokens)
    model, tokenizer = load_with_tokenizer(options.dir or SHIPPED)
    prompt_ids = tokenizer.encode(options.prompt) or [tokenizer.eot_id]
    steps = gptcore.generate(
        model,
        prompt_ids,
        options.max_new_tokens,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        min_p=options.min_p,
        repetition_penalty=options.repetition_penalty,
        use_cache=not options.no_cache,
        seed=options.seed,
        stop_ids=(tokenizer.eot_id,),
        n_alternatives=0,
        past_context=options.past_context,
    )
    if options.json:
        print(json.dumps(_sample_result(options, model, tokenizer, prompt_ids, steps), ensure_ascii=False))
    else:
        _stream(options.prompt, tokenizer, steps)


def _stream(prompt: str, tokenizer: "Tokenizer", steps: Iterable["Step"]) -> None:
    """Print a text as it is generated; a character whose bytes are not all there yet waits."""
    ids: list[int] = []
    n_shown = 0
    for step in steps:
        ids.append(step.token_id)
        text = prompt + tokenizer.decode(ids)
        if not text.endswith("\ufffd"):
            print(text[n_shown:], end="", flush=True)
            n_shown = len(text)
    print((prompt + tokenizer.decode(ids))[n_shown:])


def _sample_result(
    options: argparse.Namespace,
    model: "GPT",
    tokenizer: "Tokenizer",
    prompt_ids: list[int],
    steps: Generator["Step", None, str],
) -> dict[str, Any]:
    """Generate, and return the ids, the text, and what it took."""
    taken = []
    while True:
        try:
            taken.append(next(steps))
        except StopIteration as ended:
            stop = ended.value
            break
    new, seconds = [step.token_id for step in taken], [step.seconds for step in taken]
    cache = None
    if not options.no_cache:
        cache = gptcore.KVCache(model.config, capacity=len(prompt_ids) + options.max_new_tokens)
        unread = 0 if stop == "stop" else 1  # the last token was chosen, and never went through the model
        cache.advance(min(len(prompt_ids) + len(new) - unread, cache.capacity))
    decoding = sum(seconds[1:])
    return {
        "prompt_ids": prompt_ids,
        "token_ids": new,
        "text": options.prompt + tokenizer.decode(new),
        "stop": stop,
        "tokens_per_second": (len(new) - 1) / decoding if decoding else None,
        "prefill_seconds": seconds[0] if seconds else None,
        "cache_bytes": cache.n_bytes if cache else 0,
        "cache_bytes_used": cache.n_bytes_used if cache else 0,
        "context_length": model.config.context_length,
    }


def export(options: argparse.Namespace) -> None:
    from gptcore.formats.export import export

    print(export(options.dir, options.to, options.out))


def stories(options: argparse.Namespace) -> None:
    if options.check is not None:
        from gptcore.stories.scores import score_text

        scores = score_text(_read_text(options.check)).to_dict()
        lines = [f"{name}: {score}" for name, score in scores.items()]
        print(json.dumps(scores) if options.json else "\n".join(lines))
        return
    from gptcore.stories.writer import write_numbered_story

    _check_count("n", options.n)
    for index in range(options.n):
        story = write_numbered_story(index, options.seed)
        if options.json:
            print(json.dumps({"text": story.text, "entropy": story.entropy}, ensure_ascii=False))
        else:
            print(f"\n{story.text}" if index else story.text)


def _check_count(option: str, count: int) -> None:
    if not 1 <= count <= LARGEST_COUNT:
        side = "below 1" if count < 1 else f"above {LARGEST_COUNT:,}"
        raise ValueError(f"--{option} {str(count)[:40]} is {side}")


def _read_text(name: str) -> str:
    from gptcore.files import read_bytes

    try:
        data = sys.stdin.buffer.read(LARGEST_TEXT) if name == "-" else read_bytes(name, LARGEST_TEXT)
        return data.decode("utf-8")
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is not UTF-8 text; save it as UTF-8 and try again") from error


def tokenize(options: argparse.Namespace) -> None:
    from gptcore.formats import load_tokenizer

    tokenizer = load_tokenizer(options.tokenizer)
    ids = tokenizer.encode(options.text)
    tokens = [tokenizer.token_text(i) for i in ids]
    if options.json:
        print(json.dumps({"token_ids": ids, "tokens": tokens}, ensure_ascii=False))
    else:
        print(" ".join(f"{token!r}:{i}" for token, i in zip(tokens, ids)))


def workers(options: argparse.Namespace) -> None:
    if options.once:
        from gptcore.runs.worker_process import run_from_standard_input as work  # needs no torch of its own
    else:
        from gptcore.runs.supervisor import serve as work
    work()


def claims(options: argparse.Namespace) -> None:
    from gptcore.experiments import claims, shipped_results

    if options.write and Path(options.write).exists():
        shipped_results.read_results(Path(options.write))  # refused before anything is measured
    for claim in [claims.get_claim(name) for name in options.only] or claims.registry().values():
        if (options.quick and claim.kind != "quick") or (options.timed and not claim.timed):
            continue
        try:
            result = claims.measure_exclusively(claim.name)
        except claims.CannotBeMeasured as error:
            if options.only:
                raise
            print(f"left out: {error}", file=sys.stderr, flush=True)
            continue
        if options.write:
            shipped_results.write_result(result, Path(options.write))
        if options.json:
            print(json.dumps(result.to_dict(), ensure_ascii=False), flush=True)
        else:
            low, high = result.spread
            noisy = ", ".join(map(claim.label, result.within_noise))
            print(
                f"{claims.VERDICT_NAMES[result.verdict]}: {result.claim}\n    {result.measured:.3g} {result.unit} "
                f"({low:.3g} to {high:.3g}), {claim.label(claim.headline)}, in {result.seconds:.1f} s"
                + (f"; within the noise: {noisy}" if noisy else ""),
                flush=True,
            )


def bench(options: argparse.Namespace) -> None:
    from dataclasses import asdict

    from gptcore.experiments import bench as module

    for row in module.bench(options.only):
        if options.json:
            print(json.dumps(asdict(row), ensure_ascii=False), flush=True)
        elif row.skipped:
            print(f"{row.name:30} skipped: {row.skipped}", flush=True)
        else:
            numbers = f"{row.ours:>9,.4g} {row.peer:>9,.4g} {row.unit:9} ratio {row.ratio:.2f}"
            print(f"{row.name:30}{numbers}   {row.how}", flush=True)


def exercise(options: argparse.Namespace) -> int:
    from gptcore.lessons.exercises import get_exercise, stub
    from gptcore.lessons.exercises.checker import check_file

    if options.file is None:
        print(stub(get_exercise(options.name)), end="")
        return 0
    verdict = check_file(options.name, options.file)
    if options.json:
        print(json.dumps({"name": options.name, **verdict.to_dict()}, ensure_ascii=False))
    else:
        print(f"{verdict.mistake}: {verdict.says}" if verdict.mistake else verdict.says)
    return 0 if verdict.passed else 1


COMMANDS: dict[Callable[[argparse.Namespace], int | None], tuple[str, Callable]] = {
    train: ("train a model and keep the run in a directory", command_options.train_options),
    resume: ("continue a run that was stopped or interrupted", command_options.resume_options),
    sample: ("continue a text with a trained model", command_options.sample_options),
    export: ("write a model in another format", command_options.export_options),
    stories: ("print stories, or score a text by the story grammar", command_options.stories_options),
    tokenize: ("split a text into tokens", command_options.tokenize_options),
    claims: ("measure the field's claims on this machine", command_options.claims_options),
    exercise: ("check a solution; without FILE, print the stub", command_options.exercise_options),
    bench: ("benchmark our speed against the usual alternatives", command_options.bench_options),
    arena: ("compare two architectures trained on the same batches", command_options.arena_options),
    workers: ("run background jobs (started by the app)", command_options.workers_options),
}  # by the function behind each command: what `--help` says of it, and what adds its options


def _load_plugin(options: argparse.Namespace) -> None:
    if options.plugin:
        from gptcore.training import plugins

        plugins.load(options.plugin)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status: 2 for bad input, 1 for an answer that is not right, or for a bug."""
    _prepare_streams()
    options = parser().parse_args(arguments)
    try:
        if any("\0" in word for word in arguments or ()):  # a shell cannot send one
            raise ValueError("an argument holds a NUL character; leave it out")
        status = options.run(options) or 0
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
        return "there is not enough memory for this; choose a smaller model, batch or text"
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if frame.filename in (plugin, __file__) or "gptcore" in frame.filename]
    last = (ours or frames)[-1]
    what = f"{type(error).__name__}: {error_sentence(error)} ({Path(last.filename).name}, line {last.lineno})"
    if plugin is not None:
        return f"with the plugin {plugin} the command stopped with {what}; check the parts that it adds"
    return f"unexpected error, please report it with your command: {what}"


def _prepare_streams() -> None:
    """Have standard streams that can take any text: closed ones opened, and escapes for what an encoding lacks."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # in this order each gets its own number
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))
    codecs.register_error(ESCAPES, _escape)
    with contextlib.suppress(AttributeError):  # a stream that a test or a notebook has put there
        sys.stdout.reconfigure(errors=ESCAPES)


def _escape(error: UnicodeError) -> tuple[str, int]:
    r"""Write what an encoding cannot hold as \uXXXX, which in a JSON string means the same."""
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
