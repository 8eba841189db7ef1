"""The worked example: numbered steps, each with its numbers put in, one at a time or all below each other.

A lesson link with ?step=3 opens the first three and a button for the next, so that a class can predict first.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.kit import links


class Steps:
    """The steps of one worked example.

        with Steps(2, key="c5_steps") as step:
            if step("Query, key, value"):
                …
            if step("The dot product"):
                …

    What is drawn after a step has begun stands in its tab, until the next one begins. Call it `total` times. With
    `in_tabs=False` all steps stand below each other. Where other things stand between the steps, they come in groups:
    `with step.group(1):` instead of the first line's `with`.
    """

    def __init__(self, total: int, *, key: str, in_tabs: bool = True):
        self.total, self.key, self.at, self.in_tabs = total, key, 0, in_tabs
        self.open = min(links.step() or total, total)
        self._tabs: dict[int, DeltaGenerator] = {}  # by the number of their step
        self._entered, self._group = ExitStack(), ExitStack()

    def __enter__(self) -> Self:
        self._group.enter_context(self.group(self.total))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._group.close()

    @contextmanager
    def group(self, count: int) -> Iterator[None]:
        """Give the next `count` steps tabs, unless all are shown below each other or a lesson link opens them."""
        numbers = range(self.at + 1, self.at + count + 1)
        if links.step() is None and not self._shows_all() and count > 1:
            tabs = st.tabs([f"Step {number}" for number in numbers], key=f"{self.key}_{numbers[0]}")
            self._tabs = dict(zip(numbers, tabs, strict=True))
        try:
            yield
        finally:
            self._entered.close()
            self._tabs = {}

    def _shows_all(self) -> bool:
        """Whether the reader wants all steps at once; the first group draws the switch."""
        if not self.in_tabs:
            return True
        key = f"{self.key}_all"
        if self.at == 0:
            bind = links.check(key, links.Switch(), False)
            st.toggle("Show all steps at once", key=key, bind=bind)
        return bool(st.session_state.get(key))

    def __call__(self, title: str) -> bool:
        """Begin the next step; False where the lesson link keeps it closed."""
        self.at += 1
        self._entered.close()
        if self.at in self._tabs:
            self._entered.enter_context(self._tabs[self.at])
        if self.at <= self.open:
            st.markdown(f"##### {self.at} · {title}", anchors=False)
            return True
        if self.at == self.open + 1:
            st.button(
                f"Show step {self.at} of {self.total}",
                key=f"{self.key}_next",
                icon=":material/expand_more:",
                on_click=links.set_sticky,
                args=("step", str(self.at) if self.at < self.total else None),
            )
        return False
