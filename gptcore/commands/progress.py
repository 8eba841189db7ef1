"""The events of a run on the terminal: as JSON lines, or as a progress bar with losses and samples."""

import contextlib
from collections.abc import Generator

from tqdm import tqdm

from gptcore.training.events import Event


def show_events(events: Generator[Event], as_json: bool) -> None:
    """Print the events as they come; an output that cannot be written ends the run too."""
    with contextlib.closing(events), contextlib.ExitStack() as shown:
        show = _print_json if as_json else shown.enter_context(contextlib.closing(_Progress()))
        for event in events:
            show(event)


def _print_json(event) -> None:
    print(event.to_json(), flush=True)


class _Progress:
    """Prints the events of a run for people: a progress bar, the losses and samples."""

    def __init__(self):
        self.bar = None

    def close(self) -> None:
        """End the bar's line, so that what follows it, an error above all, has a line of its own."""
        if self.bar is not None:
            self.bar.close()

    def __call__(self, event) -> None:
        if event.event == "start":
            for note in event.notes:
                print(note)
            print(
                f"{event.n_parameters:,} parameters on {event.device}, {event.precision}, {event.attention_path} "
                f"attention, {event.threads} thread{'' if event.threads == 1 else 's'}, {event.total_steps:,} steps"
            )
            self.bar = tqdm(total=event.total_steps, unit="step")
        self.bar = self.bar if self.bar is not None else tqdm(unit="step", initial=event.step)
        if event.event == "revision":
            self.bar.total = event.total_steps
            self.bar.refresh()
        elif event.event == "step":
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
