"""Visitors who use a running app as browsers do: open pages, move sliders, answer questions, generate, train.

Meanwhile each browser runs the fragments that have a timer, such as a run's progress.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from streamlit.proto.Radio_pb2 import Radio
from streamlit.proto.Slider_pb2 import Slider
from streamlit.proto.TextInput_pb2 import TextInput

from pages.kit.book import TABLE
from tests.security.forged_client import Client, Page

PAGES = tuple(entry.url for entry in TABLE[1:])  # the front page is where everybody lands
ACTIONS = {"slider": 0.5, "page": 0.3, "answer": 0.1, "generate": 0.1}  # how often each is done
PAUSE_SECONDS = (1.0, 5.0)  # between the answer to one action and the next
N_QUESTIONS = 8  # of every chapter, at least
HURRY_SECONDS = (0.0, 0.2)  # the same for visitors who only count their actions


@dataclass(frozen=True)
class Interaction:
    """One action and the seconds until the page had answered it, with the exceptions that the answer showed."""

    action: str
    page: str
    seconds: float
    exceptions: tuple[str, ...] = ()
    error: str = ""


class Visitor:
    """One browser that does something every few seconds until it is told to leave."""

    def __init__(
        self,
        url: str,
        number: int,
        done: Callable[[Interaction], None],
        pause: tuple[float, float] = PAUSE_SECONDS,
    ) -> None:
        self.random = random.Random(number)
        self.pause = pause
        self.url = url
        self.number = number
        self.done = done
        self.due: dict[str, float] = {}  # when each fragment with a timer runs next

    def stay(self, leave: threading.Event, trains: bool = False) -> None:
        """Open the front page, then act until `leave` is set; with `trains`, start a training run first."""
        try:
            began = time.monotonic()
            with Client(self.url, f"{self.number:032d}") as self.client:
                self._report("first page", began, self.client.landed)
                self.name, self.page = "", self.client.landed
                if trains:
                    self._act("train", self._train)
                while not self._wait(leave, self.random.uniform(*self.pause)):
                    action = self.random.choices(list(ACTIONS), list(ACTIONS.values()))[0]
                    self._act(action, getattr(self, f"_{action}"))
        except Exception as error:  # a lost connection ends this visit, and is counted
            self.done(Interaction("visit", "", 0.0, error=repr(error)))

    def _wait(self, leave: threading.Event, seconds: float) -> bool:
        """Wait as long, and run the fragments whose timers end meanwhile; return whether it is time to leave."""
        end = time.monotonic() + seconds
        while True:
            reruns = self.page.reruns
            self.due = {name: self.due.get(name, time.monotonic() + reruns[name]) for name in reruns}
            name = min(self.due, key=self.due.get, default="")
            until = min(end, self.due.get(name, end))
            if leave.wait(max(0.0, until - time.monotonic())):
                return True
            if until == end:
                return False
            began = time.monotonic()
            answer = self._take(self.client.open(self.name, fragment=name, timer=True), name)
            if answer.exceptions:  # the others are no acts of the visitor
                self._report("timer", began, answer)
            self.due.pop(name)

    def _act(self, action: str, act: Callable[[], Page | None]) -> None:
        began = time.monotonic()
        answer = act()
        if answer is not None:
            self._report(action, began, answer)

    def _report(self, action: str, began: float, answer: Page) -> None:
        seconds = time.monotonic() - began
        name = getattr(self, "name", "")
        self.done(Interaction(action, name, seconds, tuple(answer.exceptions)))

    def _page(self) -> Page:
        self.name = self.random.choice(PAGES)
        self.page = self.client.open(self.name)
        return self.page

    def _slider(self) -> Page | None:
        """Move one of the page's sliders to a random value that it offers."""
        sliders = [
            element
            for element in self.page.elements.values()
            if isinstance(element, Slider) and element.type == Slider.SLIDER and not element.disabled
        ]
        if not sliders:
            return None
        moved = self.random.choice(sliders)
        steps = round((moved.max - moved.min) / moved.step) if moved.step else 0
        return self._set(moved.id, float(moved.min + self.random.randint(0, steps) * moved.step))

    def _answer(self) -> Page | None:
        """Answer the question that is open at the end of a chapter, or open another one."""
        tabs = [name for name in self.page.elements if name.endswith("_questions")]
        asked = [
            element
            for name, element in self.page.elements.items()
            if "_q_" in name and isinstance(element, Radio | TextInput)
        ]
        if tabs and self.random.random() < 0.5:
            return self._set(tabs[0], f"Question {self.random.randint(1, N_QUESTIONS)}")
        if not asked:
            return None
        answers = asked[0].options if isinstance(asked[0], Radio) else ("1", "0.5", "24")
        return self._set(asked[0].id, self.random.choice(answers))

    def _generate(self) -> Page | None:
        """Generate a text in chapter 9."""
        if not self.page.has("c9_generate"):
            began = time.monotonic()
            self.name, self.page = "inference", self.client.open("inference")
            self._report("page", began, self.page)
        return self._set(self.page.widget_id("c9_generate"), True)

    def _train(self) -> Page:
        """Start a run of one minute, of this visitor's own seed, in chapter 8."""
        self.name = "training"
        began = time.monotonic()
        self.page = self.client.open("training", c8_seed=str(self.number))
        self._report("page", began, self.page)
        return self._set(self.page.widget_id("c8_start"), True)

    def _set(self, widget: str, value: str | float | bool) -> Page:
        """Give a widget a value, and run what a browser would: its fragment, or the page."""
        fragment = self.page.fragments.get(widget, "")
        return self._take(self.client.open(self.name, forged={widget: value}, fragment=fragment), fragment)

    def _take(self, answer: Page, fragment: str) -> Page:
        """Keep what the server has answered: a page, or what one of its fragments has drawn anew."""
        if answer.is_fragment:
            for name in [name for name, inside in self.page.fragments.items() if inside == fragment]:
                del self.page.fragments[name], self.page.elements[name]
            self.page.elements.update(answer.elements)
            self.page.fragments.update(answer.fragments)
            self.page.reruns.update(answer.reruns)
            for name in answer.stopped:
                self.page.reruns.pop(name, None)
        else:
            self.page = answer
        return answer
