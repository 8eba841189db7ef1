"""A block run with the values a reader chose: the repository's own text only, in a child process.

What goes to the child is a topic, the number of a block and values; the child reads the code from this
folder itself and checks the values. No code ever comes from outside.
"""

import contextlib
import io
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from explainers import constants
from explainers.library import explainer
from gptcore.runs import worker_pool
from gptcore.runs.jobs import INTERACTIVE, MEMORY_MB, JobError, Report, job_kind

SECONDS = 20.0  # a block takes a fraction of this; the rest is for a machine that is busy
MOST_CHARACTERS = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a block printed, the Plotly figure it ended in (as JSON), the seconds of computing, or why it failed."""

    output: str = ""
    figure: str | None = None
    seconds: float = 0.0
    error: str | None = None


def perform(topic: str, number: int, values: Mapping[str, object]) -> Answer:
    """Run a block here and now; call it in a process of its own, since a block may do anything to torch.

    Raises ExplainerError or ConstantError for what is not there or not allowed; what goes wrong inside the
    block is told in the answer.
    """
    blocks = explainer(topic).chain(number)
    sources = list(zip(blocks, _with_values(blocks, values)))
    namespace: dict[str, object] = {"__name__": "__explainer__"}
    printed = io.StringIO()
    started = time.process_time()
    try:
        for block, source in sources:
            printed = io.StringIO()
            namespace.pop("figure", None)
            with contextlib.redirect_stdout(printed):
                exec(compile(source, f"{topic}.md, block {block.number}", "exec"), namespace)
    except Exception as error:  # whatever the block raises is part of its answer
        said = traceback.format_exception_only(error)[-1].strip()
        return Answer(output=printed.getvalue(), error=said, seconds=time.process_time() - started)
    figure = namespace.get("figure")
    return Answer(
        output=printed.getvalue()[:MOST_CHARACTERS],
        figure=None if figure is None else figure.to_json(),
        seconds=time.process_time() - started,
    )


def _with_values(blocks, values: Mapping[str, object]) -> list[str]:
    """The code of each block, each value put into the last block that has a constant of its name."""
    rest, sources = dict(values), []
    for block in reversed(blocks):
        own = {
            constant.name: rest.pop(constant.name) for constant in block.constants if constant.name in rest
        }
        sources.append(constants.put(block.code, own))
    if rest:
        raise constants.ConstantError(f"there is no adjustable constant {', '.join(sorted(rest))}")
    return sources[::-1]


def run_block(topic: str, number: int, values: Mapping[str, object], seconds: float = SECONDS) -> Answer:
    """Run a block in a worker and wait for its answer, at most `seconds`.

    Raises ExplainerError or ConstantError, as `perform`, before any process is started.
    """
    _with_values(explainer(topic).chain(number), values)
    return run_blocks([(topic, number, values)], seconds)[0]


def run_blocks(blocks: Sequence[tuple[str, int, Mapping[str, object]]], seconds: float) -> list[Answer]:
    """Run several blocks in one worker, one after the other, each from an empty namespace.

    What they import is imported once, which is most of their time. Where the worker fails, all answers say so.
    """
    from gptcore.runs.request import (
        RunRequest,  # with it comes torch, which a page without a block does not need
    )

    wanted = [{"topic": topic, "number": number, "values": dict(values)} for topic, number, values in blocks]
    request = RunRequest(kind="explainer_blocks", settings={"blocks": wanted})
    try:
        answers = worker_pool.shared().submit(request, seconds=seconds).result()
    except JobError as error:
        return [Answer(error=str(error)) for _ in wanted]
    return [Answer(**answer) for answer in answers]


@job_kind("explainer_blocks", slots=INTERACTIVE, seconds=SECONDS, memory_mb=MEMORY_MB)
def _perform_blocks(settings: Mapping, report: Report) -> list[dict]:
    import torch

    torch.set_num_threads(1)  # blocks are small, and others compute beside them
    return [asdict(perform(block["topic"], block["number"], block["values"])) for block in settings["blocks"]]
