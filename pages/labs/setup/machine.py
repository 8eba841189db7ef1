"""Chapter 1: what this machine has, as training sees it."""

from pages.kit import words
from pages.labs.setup import cached


def machine() -> None:
    """What this machine has, as training sees it."""
    text = words.load("01_setup")
    here = cached.machine()
    unknown = text.read("example_machine_unknown")
    units = {True: text.read("example_machine_yes"), False: text.read("example_machine_no"), None: unknown}
    text.show(
        "example_machine",
        device=here.device,
        name=here.name,
        threads=here.threads,
        memory=f"{here.memory_bytes / 1e9:.1f} GB" if here.memory_bytes else unknown,
        precisions=", ".join(here.precisions),
        units=units[here.bf16_units],
        python=here.python,
        torch=here.torch,
    )
