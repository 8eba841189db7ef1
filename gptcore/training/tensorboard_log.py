"""The events of a run as TensorBoard reads them: scalars and samples, by step."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from gptcore.training.events import Checkpointed, Evaluated, Event, Sampled, Trained

FOLDER = "tensorboard"  # in the directory of the run
PROGRESS = ("step", "tokens", "seconds")
GROUPS = {Trained: "training", Evaluated: "validation"}


def log_events(events: Iterator[Event], run: str | Path) -> Iterator[Event]:
    """Pass the events of a run on; write what they measured to `tensorboard` in its directory.

    Raises ValueError at once where TensorBoard is not installed. Nothing is written before the first checkpoint, so
    that a run that ends earlier leaves nothing. A resumed run replaces what was logged after its checkpoint.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter  # an optional dependency
    except ImportError as error:
        raise ValueError(
            "--log tensorboard needs the package tensorboard, which is not installed; run: pip install tensorboard"
        ) from error
    return _logged(events, Path(run) / FOLDER, SummaryWriter)


def _logged(events: Iterator[Event], folder: Path, writer_class: type) -> Iterator[Event]:
    writer, early = None, []
    try:
        for event in events:
            if writer is None and (folder.parent / "latest").is_dir():
                writer = writer_class(str(folder), purge_step=event.step)
            early.append(event)
            if writer is not None:
                for each in early:
                    _write(writer, each)
                early.clear()
            if isinstance(event, Checkpointed):
                writer.flush()
            yield event
    finally:
        events.close()
        if writer is not None:
            writer.close()


def _write(writer, event: Event) -> None:
    if (group := GROUPS.get(type(event))) is not None:
        for field in fields(event):
            if field.name not in PROGRESS:
                writer.add_scalar(f"{group}/{field.name}", getattr(event, field.name), event.step)
    if isinstance(event, Sampled):
        writer.add_text("sample", event.text, event.step)
        for name, score in (event.ladder or {}).items():
            if isinstance(score, (int, float)):
                writer.add_scalar(f"story scores/{name}", score, event.step)
