"""The runs of a fragment that renews itself."""

from dataclasses import dataclass


@dataclass(slots=True)
class Ticks:
    """Counts the runs of a fragment that renews itself. The first is part of a run of the whole page.

    A whole run must never end in `st.rerun`: widgets it has not come to yet would lose their values.
    """

    n: int = 0

    def first(self) -> bool:
        self.n += 1
        return self.n == 1
