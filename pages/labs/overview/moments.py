"""Chapter 0: the model at moments of its training."""

from dataclasses import dataclass

from pages.kit import event_log, models
from pages.kit.models import ModelHandle, Snapshot

SECONDS = ("0", "5", "20", "60", "full")
FULL = "full"
NEAR = 0.5  # a snapshot farther from the slider's seconds than this share of them is not offered for them


@dataclass(frozen=True, slots=True)
class Moment:
    """The model at one moment of its training; `option` is what the slider says."""

    option: str
    seconds: float | None
    step: int | None
    handle: ModelHandle


def moments(model: ModelHandle) -> list[Moment]:
    """The snapshots near the seconds of the slider, each once, and the finished model."""
    kept = models.snapshots(model)
    found: list[Moment] = []
    for option in SECONDS[:-1]:
        if not kept:
            break
        nearest: Snapshot = min(kept, key=lambda one: abs(one.seconds - float(option)))
        far = abs(nearest.seconds - float(option)) > NEAR * float(option) and nearest.step > 0
        # Looking at the untrained model takes time too, so step 0 is the one of 0 seconds and of no others.
        far = far or (nearest.step > 0) != (float(option) > 0)
        if not far and all(nearest.handle != moment.handle for moment in found):
            found.append(
                Moment(option, nearest.seconds if nearest.step else 0.0, nearest.step, nearest.handle)
            )
    past = event_log.read(model.path)
    seconds = past.seconds[-1] if past.seconds else None
    step = past.last_step if past.steps else None
    return [*found, Moment(FULL, seconds, step, model)]
