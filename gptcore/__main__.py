"""The command line: `python -m gptcore train | resume | sample | … | bench`.

Each command is one function below. Heavy imports stand inside, so that `--help` answers at once. Bad input
ends with one sentence on standard error and exit status 2.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from gptcore.runs.options import add_plugin_option, add_request_options

ERROR = "error: "  # how a sentence about bad input begins on standard error


def parser() -> argparse.ArgumentParser:
    """Return the commands and their options."""
    top = argparse.ArgumentParser(prog="python -m gptcore", description=__doc__.split("\n")[0])
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser("train", help="train a model and keep the run in a directory")
    command.set_defaults(run=train)
    add_request_options(command)
    command.add_argument("--out", required=True, metavar="DIR", help="a new or empty directory")
    command.add_argument("--json", action="store_true", help="print each event as a line of JSON")

    command = commands.add_parser("resume", help="go on with a run that was stopped or interrupted")
    command.set_defaults(run=resume)
    command.add_argument("dir", metavar="DIR")
    add_plugin_option(command)
    command.add_argument("--json", action="store_true")

    command = commands.add_parser("sample", help="continue a text with a trained model")
    command.set_defaults(run=sample)
    command.add_argument(
        "dir", metavar="DIR", nargs="?", help="a run or saved model; the shipped one if left out"
    )
    command.add_argument("--prompt", default="", metavar="TEXT", help="empty: start a new document")
    command.add_argument("--max-new-tokens", type=int, default=200, metavar="N")
    command.add_argument("--temperature", type=float, default=0.8, metavar="T")
    command.add_argument("--top-k", type=int, metavar="K")
    command.add_argument("--top-p", type=float, metavar="P")
    command.add_argument("--min-p", type=float, metavar="P")
    command.add_argument("--repetition-penalty", type=float, default=1.0, metavar="R")
    command.add_argument("--seed", type=int, default=0, metavar="N")
    command.add_argument("--no-cache", action="store_true", help="compute every token again at each step")
    command.add_argument("--past-context", choices=("stop", "slide"), default="stop")
    add_plugin_option(command)
    command.add_argument("--json", action="store_true")

    command = commands.add_parser("export", help="write a model in a form that others read")
    command.set_defaults(run=export)
    command.add_argument("dir", metavar="DIR", help="a run or saved model")
    command.add_argument(
        "--to",
        required=True,
        choices=tuple(EXPORTS),
        help="hf: a folder that transformers loads; script, notebook: a file that trains such a model anew",
    )
    command.add_argument("out", metavar="OUT", help="a new or empty directory; a new file")

    command = commands.add_parser(
        "stories", help="print stories, or say how much of a text the grammar accepts"
    )
    command.set_defaults(run=stories)
    command.add_argument("--n", type=int, default=1, metavar="N")
    command.add_argument("--seed", type=int, default=0, metavar="N")
    command.add_argument("--check", metavar="FILE", help="score this text; - reads standard input")
    command.add_argument("--json", action="store_true")

    command = commands.add_parser("tokenize", help="show how a text falls into tokens")
    command.set_defaults(run=tokenize)
    command.add_argument("text", metavar="TEXT")
    command.add_argument("--tokenizer", default="story", metavar="story|gpt2|FILE")
    command.add_argument("--json", action="store_true")

    command = commands.add_parser("claims", help="measure what the field repeats, here and now")
    command.set_defaults(run=claims)
    command.add_argument("--only", nargs="+", action="extend", default=[], metavar="NAME")
    command.add_argument("--quick", action="store_true", help="leave out the claims that train models")
    command.add_argument("--json", action="store_true")

    command = commands.add_parser("exercise", help="check a solution; without FILE, print the stub")
    command.set_defaults(run=exercise)
    command.add_argument("name", metavar="NAME")
    command.add_argument("file", metavar="FILE", nargs="?")
    command.add_argument("--json", action="store_true")

    command = commands.add_parser("bench", help="measure our speed beside what one would use instead")
    command.set_defaults(run=bench)
    command.add_argument("--only", nargs="+", action="extend", default=[], metavar="NAME")
    command.add_argument("--json", action="store_true")

    command = commands.add_parser("arena", help="two architectures on the same batches, with a verdict")
    command.set_defaults(run=arena)
    for arm, family in (("a", "LLaMA-style"), ("b", "GPT-2-style")):
        command.add_argument(f"--style-{arm}", default=family, metavar="LLaMA-style|GPT-2-style")
    for name, whose in (("", "both arms, or training"), ("-a", "arm a"), ("-b", "arm b")):
        command.add_argument(
            f"--set{name}", nargs="+", action="extend", default=[], metavar="FIELD=VALUE", help=f"of {whose}"
        )
    command.add_argument("--equal", default="parameters", metavar="parameters|flops|seconds")
    command.add_argument("--corpus", default="stories", metavar="stories|book|FILE")
    length = command.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, metavar="N", help="of each run of arm a")
    length.add_argument("--seconds", type=float, metavar="S", help="of each run, with --equal seconds")
    command.add_argument("--rates", type=float, nargs="+", metavar="R")
    command.add_argument("--seeds", type=int, nargs="+", metavar="N")
    command.add_argument(
        "--out", required=True, metavar="DIR", help="a directory of runs; finished ones are kept"
    )
    add_plugin_option(command)
    command.add_argument("--json", action="store_true")

    command = commands.add_parser("nursery", help="what the app starts, to fork its jobs from")
    command.set_defaults(run=nursery)
    command.add_argument("--once", action="store_true", help="do one job and end")
    return top


def train(options: argparse.Namespace) -> None:
    from gptcore.runs.plan import make_plan
    from gptcore.runs.recorder import FollowerRecorder, Recorder
    from gptcore.runs.request import RunRequest, setting_words
    from gptcore.training.distributed import join_process_group

    request = RunRequest.from_options(options)
    group = join_process_group()
    recorder = Recorder(options.out) if group.leads else FollowerRecorder(options.out)
    try:
        plan = make_plan(request)
        group.check(plan.train)
        asked = ("preset", "corpus", "tokenizer", "seconds", "steps", "seed")
        described = {
            **{name: getattr(request, name) for name in asked},
            "settings": setting_words(dict(request.settings)),
            "model": plan.model.to_dict(),
            "train": plan.train.to_dict(),
            "corpus_name": plan.corpus.name,
            "notes": list(plan.notes),
            "plugin": request.plugin,
        }
        copied = (*plan.corpus.train, *plan.corpus.validation) if Path(request.corpus).is_file() else None
        recorder.describe(described, plan.tokenizer, "".join(copied) if copied else None)
    except BaseException:
        recorder.discard()
        raise
    _follow(recorder, plan.model, plan.train, plan.corpus, plan.tokenizer, options.json, group, plan.notes)


def resume(options: argparse.Namespace) -> None:
    from gptcore.config import ModelConfig, TrainConfig
    from gptcore.corpora.sources import load_corpus
    from gptcore.runs.recorder import FollowerRecorder, Recorder, read_state
    from gptcore.runs.run import Run, RunError
    from gptcore.tokenizer import Tokenizer
    from gptcore.training.distributed import join_process_group

    run = Run(options.dir)
    if not (run.folder / "config.json").is_file():
        raise RunError(f"{options.dir} is not a run")
    if (problem := run.problem()) is not None:
        raise RunError(problem)
    if run.is_finished():
        raise RunError(f"{options.dir} is finished; there is nothing to resume")
    request = run.config()
    group = join_process_group()
    group.check(TrainConfig.from_dict(request["train"]))
    recorder = Recorder(options.dir, resume=True) if group.leads else FollowerRecorder(options.dir)
    state = read_state(options.dir)
    text = run.folder / "corpus.txt"
    corpus = load_corpus(str(text) if text.is_file() else request["corpus"])
    tokenizer = Tokenizer.load(run.folder / "tokenizer.json")
    recorder.reopen(tokenizer, request, state["step"])
    model, config = ModelConfig.from_dict(request["model"]), TrainConfig.from_dict(request["train"])
    _follow(recorder, model, config, corpus, tokenizer, options.json, group, state=state)


def _follow(
    recorder, model, config, corpus, tokenizer, as_json: bool, group, notes: Iterable[str] = (), state=None
) -> None:
    """Train, keep the run, and print what happens; Ctrl-C and SIGTERM end it with everything saved."""
    from gptcore.training import loop
    from gptcore.training.devices import steady_heap

    def end(signum, frame):
        recorder.stop.set()
        if group.size == 1:  # torchrun passes on what a terminal has already sent to every process
            signal.signal(signum, signal.SIG_DFL)  # a second time ends it at once

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, end)
    steady_heap()
    events = loop.train(
        model, config, corpus, tokenizer, stop=recorder.stop, resume=state, notes=notes, group=group
    )
    show = _print_json if as_json else _Progress()
    for event in recorder.record(group.guard_events(events)):
        if group.leads:
            show(event)
    if event.event == "failed":
        raise ValueError(event.reason)


def arena(options: argparse.Namespace) -> int:
    from gptcore.experiments import arena as module
    from gptcore.runs.run import Run, RunError

    match = module.asked(
        styles=(options.style_a, options.style_b),
        settings=(options.set, options.set_a, options.set_b),
        equal_in=options.equal,
        steps=options.steps,
        seconds=options.seconds,
        rates=options.rates,
        seeds=options.seeds,
    )
    show = _print_match_json if options.json else _print_match
    even = module.equalise(match)
    if options.plugin:
        module.check_account(even)
    show("even", even)
    results = []
    for planned in module.plan(match, options.corpus, options.plugin):
        run = Run(Path(options.out) / planned.name)
        if module.is_of_another(planned, run.config()):
            raise RunError(f"{run.folder} was trained by other choices; give another --out")
        _carry_out(run, planned.request.arguments())
        loss = module.last_loss(run.events()[0])
        if loss is None:
            print(f"{ERROR}stopped; the same command goes on where it ended", file=sys.stderr)
            return 130
        results.append(module.Result(planned.arm, planned.rate, planned.seed, loss))
        show("result", results[-1])
    show("verdict", module.judge(results, match))
    return 0


def _carry_out(run, arguments: Sequence[str]) -> None:
    """Train what a finished run does not hold yet, without a word; a lost run is over too."""
    import contextlib
    import io

    from gptcore.runs.run import delete

    if run.is_finished() or run.last_event().get("event") == "failed":
        return
    if run.can_resume():
        words = ["resume", str(run.folder), "--json"]
    else:
        if run.folder.is_dir():  # killed before its first checkpoint
            delete(run)
        words = ["train", *arguments, "--out", str(run.folder), "--json"]
    options = parser().parse_args(words)
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            options.run(options)
        except ValueError:
            if run.last_event().get("event") != "failed":
                raise


def _print_match_json(kind: str, found) -> None:
    from dataclasses import asdict, is_dataclass

    values = asdict(found) if is_dataclass(found) else found._asdict()
    text = json.dumps({"event": kind, **values}, default=str)
    print(text.replace("Infinity", "null").replace("NaN", "null"), flush=True)


def _print_match(kind: str, found) -> None:
    if kind == "even":
        what = f"{found.field} from {found.before:,} to {found.after:,}" if found.field else "nothing"
        print(f"arm a: {found.a.n_parameters:,} parameters; arm b: {found.b.n_parameters:,}")
        print(f"adjusted in arm b: {what}")
        print("left, b against a:", ", ".join(f"{name} {share:+.2%}" for name, share in found.left().items()))
    elif kind == "result":
        print(f"{found.arm}  rate {found.rate:<8g} seed {found.seed:<4} loss {found.loss:.4f}", flush=True)
    else:
        for arm, best in found.best.items():
            seeds = ", ".join(f"{loss:.4f}" for loss in best.losses)
            edge = f", the {best.edge} rate tried" if best.edge else ""
            print(f"arm {arm} at its best, rate {best.rate:g}{edge}: mean {best.mean:.4f} ({seeds})")
        lower = f"{found.winner} is {found.difference:.4f} nats lower, " if found.winner else ""
        chance = f"chance {found.chance:.3f} between equals: " if found.winner else ""
        print(f"{lower}{chance}{found.word}")


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
    from gptcore.cache import KVCache
    from gptcore.checkpoint import SHIPPED
    from gptcore.formats import load
    from gptcore.generation.sampling import generate

    if options.max_new_tokens < 1:
        raise ValueError(f"--max-new-tokens {options.max_new_tokens} is below 1")
    model, tokenizer = load(options.dir or SHIPPED)
    prompt_ids = tokenizer.encode(options.prompt) or [tokenizer.eot_id]
    context = model.config.context_length
    steps = generate(
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
    new, seconds = [], []
    shown = 0
    stop = None
    while True:
        try:
            step = next(steps)
        except StopIteration as ended:
            stop = ended.value
            break
        new.append(step.token_id)
        seconds.append(step.seconds)
        if not options.json:
            text = options.prompt + tokenizer.decode(new)
            if not text.endswith("\ufffd"):  # a character whose bytes are not all there yet waits
                print(text[shown:], end="", flush=True)
                shown = len(text)
    if not options.json:
        print((options.prompt + tokenizer.decode(new))[shown:])
        return
    cache = (
        None if options.no_cache else KVCache(model.config, capacity=len(prompt_ids) + options.max_new_tokens)
    )
    if cache is not None:
        unread = 0 if stop == "stop" else 1  # the last token was chosen, and never went through the model
        cache.advance(min(len(prompt_ids) + len(new) - unread, cache.capacity))
    decoding = sum(seconds[1:])
    result = {
        "prompt_ids": prompt_ids,
        "token_ids": new,
        "text": options.prompt + tokenizer.decode(new),
        "stop": stop,
        "tokens_per_second": (len(new) - 1) / decoding if decoding else None,
        "prefill_seconds": seconds[0] if seconds else None,
        "cache_bytes": cache.n_bytes if cache else 0,
        "cache_bytes_used": cache.n_bytes_used if cache else 0,
        "context_length": context,
    }
    print(json.dumps(result, ensure_ascii=False))


def export(options: argparse.Namespace) -> None:
    EXPORTS[options.to](options.dir, options.out)


def _export_hf(folder: str, out: str) -> None:
    from gptcore.formats import load
    from gptcore.formats.hf_folder import export

    print(export(*load(folder), out))


def _export_script(folder: str, out: str) -> None:
    from gptcore.formats import script

    print(script.write(script.of_run(folder), "script", out))


def _export_notebook(folder: str, out: str) -> None:
    from gptcore.formats import script

    print(script.write(script.of_run(folder), "notebook", out))


EXPORTS = {
    "hf": _export_hf,
    "script": _export_script,
    "notebook": _export_notebook,
}  # by what stands after --to: what a model becomes


def stories(options: argparse.Namespace) -> None:
    if options.check is not None:
        from gptcore.stories.scores import score_text

        ladder = score_text(_read_text(options.check)).to_dict()
        print(json.dumps(ladder) if options.json else "\n".join(f"{k}: {v}" for k, v in ladder.items()))
        return
    from gptcore.stories.writer import write_stories

    if options.n < 1:
        raise ValueError(f"--n {options.n} is below 1")
    written = write_stories(options.n, seed=options.seed)
    if options.json:
        for story in written:
            print(json.dumps({"text": story.text, "entropy": story.entropy}, ensure_ascii=False))
    else:
        print("\n\n".join(story.text for story in written))


def _read_text(name: str) -> str:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return data.decode("utf-8")
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is not UTF-8 text; save it as UTF-8 and try again") from error


def tokenize(options: argparse.Namespace) -> None:
    from gptcore.formats import Tokenizer
    from gptcore.tokenizer import load_tiktoken, story_tokenizer

    named = {"story": story_tokenizer, "gpt2": load_tiktoken}
    tokenizer = (
        named[options.tokenizer]() if options.tokenizer in named else Tokenizer.load(options.tokenizer)
    )
    ids = tokenizer.encode(options.text)
    tokens = [tokenizer.token_text(i) for i in ids]
    if options.json:
        print(json.dumps({"token_ids": ids, "tokens": tokens}, ensure_ascii=False))
    else:
        print(" ".join(f"{token!r}:{i}" for token, i in zip(tokens, ids)))


def nursery(options: argparse.Namespace) -> None:
    from gptcore.runs.workers import once, serve

    once() if options.once else serve()


def claims(options: argparse.Namespace) -> None:
    from gptcore.experiments import claims

    for claim in [claims.named(name) for name in options.only] or claims.registry().values():
        if options.quick and claim.kind != "quick":
            continue
        try:
            result = claims.measure_in_turn(claim.name)
        except claims.CannotBeMeasured as error:
            if options.only:
                raise
            print(f"left out: {error}", file=sys.stderr, flush=True)
            continue
        if options.json:
            print(json.dumps(result.to_dict(), ensure_ascii=False), flush=True)
        else:
            low, high = result.spread
            noise = f"; within the noise: {', '.join(result.within_noise)}" if result.within_noise else ""
            print(
                f"{result.verdict}: {result.claim}\n    {result.measured:.3g} {result.unit} "
                f"({low:.3g} to {high:.3g}), {claim.headline}, in {result.seconds:.1f} s{noise}",
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
    from gptcore.lessons.exercises import named, stub
    from gptcore.lessons.exercises.apart import check_file

    if options.file is None:
        print(stub(named(options.name)), end="")
        return 0
    verdict = check_file(options.name, options.file)
    if options.json:
        print(json.dumps({"name": options.name, **verdict.to_dict()}, ensure_ascii=False))
    else:
        print(f"{verdict.mistake}: {verdict.says}" if verdict.mistake else verdict.says)
    return 0 if verdict.passed else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status: 2 for bad input, 1 for an answer that is not right."""
    options = parser().parse_args(arguments)
    try:
        if getattr(options, "plugin", None):
            from gptcore.training import plugins

            plugins.load(options.plugin)
        return options.run(options) or 0
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:  # before there is anything to save
        return 130
    except (ValueError, OSError) as error:
        if os.environ.get("LOCAL_RANK", "0") == "0":  # of torchrun's processes on a machine one says it
            print(f"{ERROR}{_sentence(error)}", file=sys.stderr)
        return 2
    return 0  # the reader of a pipe went away


def _sentence(error: Exception) -> str:
    """Return an error as one sentence on one line."""
    if isinstance(error, OSError) and error.strerror:
        place = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror}{place}; free some space or choose another directory"
    return " ".join(str(error).split())


if __name__ == "__main__":
    status = main()
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:  # one of several under torchrun
        from gptcore.training.distributed import exit_process

        exit_process(status)
    sys.exit(status)
