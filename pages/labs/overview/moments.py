"""Chapter 0: the model at moments of its training."""

from dataclasses import dataclass

from pages.kit import event_log, models
from pages.kit.models import ModelHandle, Snapshot

SECONDS = ("0", "5", "20", "60", "full")
FULL = "full"
NEAR = 0.5  # largest distance of a snapshot from the slider's seconds, as a fraction of them


@dataclass(frozen=True, slots=True)
class Moment:
    """The model at one moment of its training; `option` is the label on the slider."""

    option: str
    seconds: float | None
    step: int | None
    handle: ModelHandle


def moments(model: ModelHandle) -> list[Moment]:
    """The snapshots nearest to the slider's seconds, each once, and the finished model."""
    snapshots = models.snapshots(model)
    chosen: list[Moment] = []
    for option in SECONDS[:-1]:
        if not snapshots:
            break
        nearest: Snapshot = min(snapshots, key=lambda snapshot: abs(snapshot.seconds - float(option)))
        far = abs(nearest.seconds - float(option)) > NEAR * float(option) and nearest.step > 0
        # Evaluating the untrained model takes time too, so step 0 stands for 0 seconds, and no other snapshot does.
        far = far or (nearest.step > 0) != (float(option) > 0)
        if not far and all(nearest.handle != moment.handle for moment in chosen):
            chosen.append(
                Moment(option, nearest.seconds if nearest.step else 0.0, nearest.step, nearest.handle)
            )
    history = event_log.read(model.path)
    seconds = history.seconds[-1] if history.seconds else None
    step = history.last_step if history.steps else None
    return [*chosen, Moment(FULL, seconds, step, model)]
