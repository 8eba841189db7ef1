"""Check yourself: questions whose answers are computed, and whose wrong answers are explained.

The texts of a chapter's questions are in ``pages/text/en/questions/05_attention.md``, one section a question: the
question itself, then a line for each answer:

    ## cache_bytes
    How many bytes does the cache of this model take after [[n]] tokens?

    - [right] Two vectors, key and value, for each layer, head and position.
    - [keys_only] That is the keys alone. The values take as much again.

    ## why_minus_infinity
    Why do masked scores become minus infinity before the softmax, and not zero after it?

    - [sums] Each row must still sum to 1. | Right: a zero written afterwards leaves a smaller sum.
    - [overflow] Zero would overflow. | Nothing overflows here.

Before the bar stands what is offered, after it the reply to that choice. In a numeric question there is no bar:
`[right]` is the reply to the right answer, the other names are wrong numbers that the script computes. The entries in
Python say which answer is right and hand in the numbers.
"""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import streamlit as st

from gptcore.lessons.exercises import get_exercise, stub
from pages.kit import links, progress, words

_ANSWER = re.compile(r"^- \[([a-z0-9_]+)\] +(.*)$")
SEED = 1
SHORT = 3  # questions on the short path
FIRST_TEXT = "Each wrong answer is explained. Draw new numbers to try again."


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One answer of several is right. `code` is shown above the answers as a block of Python."""

    name: str
    right: str
    numbers: Mapping[str, object] = field(default_factory=dict)
    code: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Numeric:
    """A number, right within `tolerance` of itself; `mistakes` are wrong numbers by name."""

    name: str
    right: float
    numbers: Mapping[str, object] = field(default_factory=dict)
    mistakes: Mapping[str, float] = field(default_factory=dict)
    tolerance: float = 0.01
    unit: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bug:
    """Which line is wrong: `lines` of code, one spoiled. An answer is named by its line, or `other` for the rest."""

    name: str
    lines: tuple[str, ...]
    right: int  # counts from 1
    numbers: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """Lines to put into the order in which they must run; `accepts` tells whether an order of them works."""

    name: str
    lines: tuple[str, ...]  # in a right order
    accepts: Callable[[Sequence[int]], bool]
    numbers: Mapping[str, object] = field(default_factory=dict)


Question = Choice | Numeric | Bug | Order


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of a question: what is asked, and for each answer what is offered and what is said to it."""

    question: str
    answers: Mapping[str, tuple[str, str]]


def wording(file: str, question: Question) -> Wording:
    """The words of a question with its numbers put in; raises WordsError where they do not agree."""
    body = words.questions(file).read(question.name, **question.numbers)
    lines = body.splitlines()
    answers: dict[str, tuple[str, str]] = {}
    text: list[str] = []
    for line in lines:
        if match := _ANSWER.match(line):
            offered, bar, reply = match[2].partition(" | ")
            answers[match[1]] = (offered.strip(), reply.strip()) if bar else ("", offered.strip())
        elif answers and line.strip():
            name = next(reversed(answers))
            answers[name] = (answers[name][0], f"{answers[name][1]} {line.strip()}")
        else:
            text.append(line)
    _agree(question, answers)
    return Wording("\n".join(text).strip(), answers)


def _agree(question: Question, answers: Mapping[str, tuple[str, str]]) -> None:
    """Every answer a question can get has something said to it, and nothing is said to one it cannot get."""
    match question:
        case Choice():
            wanted, allowed = {question.right}, set(answers)
        case Numeric():
            wanted = {"right", *question.mistakes}
            allowed = wanted | {"other"}
        case Bug():
            wanted = {f"line_{question.right}", "other"}
            allowed = wanted | {f"line_{line}" for line in range(1, len(question.lines) + 1)}
        case Order():
            wanted = allowed = {"right", "other"}
    if missing := sorted(wanted - set(answers)):
        raise words.WordsError(f"question {question.name} has no reply for {', '.join(missing)}")
    if lost := sorted(set(answers) - allowed):
        raise words.WordsError(
            f"question {question.name} has a reply for {', '.join(lost)}, which is not a possible answer"
        )


def judge_number(question: Numeric, value: float) -> str:
    """The name of the answer a number is: right, one of the mistakes, or other."""

    def near(a: float, b: float) -> bool:
        return abs(a - b) <= question.tolerance * max(abs(b), 1e-12)

    if near(value, question.right):
        return "right"
    return next((name for name, wrong in question.mistakes.items() if near(value, wrong)), "other")


def seed() -> int:
    """The seed of this visitor's questions: the lesson link's, or their own, which a button moves on."""
    given = links.lesson_seed()
    return given if given is not None else st.session_state.get("quiz_seed", SEED)


def next_numbers() -> None:
    """Move on to other numbers. For callbacks."""
    st.session_state["quiz_seed"] = seed() + 1
    if links.lesson_seed() is not None:
        links.set_sticky("seed", str(st.session_state["quiz_seed"]))


def cards(chapter: int, file: str, make: Callable[[int], Sequence[Question]]) -> None:
    """The questions of a chapter; `make` draws their numbers from a seed, the same for the same seed."""
    _questions(chapter, file, make)


def asked(questions: Sequence[Question]) -> Sequence[Question]:
    """The questions that a chapter asks: all of them, on the short path the first three."""
    return questions if links.is_full_path() else questions[:SHORT]


@st.fragment
def _questions(chapter: int, file: str, make: Callable[[int], Sequence[Question]]) -> None:
    drawn = seed()
    every = make(drawn)
    questions = asked(every)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        count = st.empty()  # said when the answers below have been looked at
        st.button(
            "Draw new numbers", key=f"c{chapter}_other", icon=":material/casino:", on_click=next_numbers
        )
    tabs = st.tabs(
        [f"Question {number}" for number in range(1, len(questions) + 1)],
        key=f"c{chapter}_questions",
        on_change="rerun",
    )
    for number, (tab, question) in enumerate(zip(tabs, questions, strict=True), 1):
        if tab.open:
            with tab.container(key=f"c{chapter}_question_{question.name}"):
                _ask(chapter, file, question, number, drawn)
    passed = progress.passed()
    done = [question for question in questions if f"c{chapter}.{question.name}" in passed]
    count.markdown(f"**{len(done)} of {len(questions)} answered.** {FIRST_TEXT}")
    if all(f"c{chapter}.{question.name}" in passed for question in every):
        progress.finish(chapter)
    progress.write_cookie(f"c{chapter}_questions")


def _ask(chapter: int, file: str, question: Question, number: int, drawn: int) -> None:
    text = wording(file, question)
    check = f"c{chapter}.{question.name}"
    line = st.empty()
    _say(line, check, number, text.question)
    key = f"c{chapter}_q_{question.name}_{drawn}"
    kept = f"{key}_kept"  # Streamlit forgets the answer while another question is open
    if kept in st.session_state and key not in st.session_state:
        st.session_state[key] = st.session_state[kept]
    given = _answer(question, text, key, drawn)
    st.session_state[kept] = st.session_state[key]
    if given is None:
        return
    name, right = given
    reply = text.answers.get(name, text.answers.get("other", ("", "")))[1]
    if right:
        progress.tick(check)
        _say(line, check, number, text.question)
        st.success(reply or "Right.", icon=":material/check:")
    else:
        st.warning(reply or "Not correct. Try again.", icon=":material/close:")


def _say(line, check: str, number: int, question: str) -> None:
    """Write a question, with a tick before it once it has been answered."""
    mark = ":green[:material/check_circle:] " if check in progress.passed() else ""
    line.markdown(f"{mark}**{number}.** {question}")


def _answer(question: Question, text: Wording, key: str, drawn: int) -> tuple[str, bool] | None:
    """Draw the widget of a question; the name of the answer given and whether it is right, None without one."""
    match question:
        case Choice():
            if question.code:
                st.code(question.code, language="python", wrap_lines=True)
            options = list(text.answers)
            random.Random(f"{drawn} {question.name}").shuffle(options)
            chosen = st.radio(
                "Your answer",
                options,
                index=None,
                format_func=lambda name: text.answers[name][0],
                key=key,
                label_visibility="collapsed",
            )
            return None if chosen is None else (chosen, chosen == question.right)
        case Numeric():
            unit = f", {question.unit}" if question.unit else ""
            typed = st.text_input(f"Your number{unit}", key=key, width=260, placeholder="a number, or 3/7")
            if not typed.strip():
                return None
            value = number(typed)
            if value is None:
                st.caption("This is not a number. Write, for example, 0.25, 1/4 or 2.5e3.")
                return None
            name = judge_number(question, value)
            return name, name == "right"
        case Bug():
            st.code("\n".join(question.lines), language="python", line_numbers=True, wrap_lines=True)
            chosen = st.segmented_control(
                "Line with the bug", list(range(1, len(question.lines) + 1)), key=key, wrap=True
            )
            return None if chosen is None else (f"line_{chosen}", chosen == question.right)
        case Order():
            return _order(question, key, drawn)


def _order(question: Order, key: str, drawn: int) -> tuple[str, bool] | None:
    places = list(range(len(question.lines)))
    random.Random(f"{drawn} {question.name}").shuffle(places)
    chosen = st.multiselect(
        "Choose the lines in the order they run",
        places,
        format_func=lambda index: question.lines[index].strip(),
        key=key,
        placeholder="First line",
    )
    if chosen:
        st.code("\n".join(question.lines[index] for index in chosen), language="python", wrap_lines=True)
    if len(chosen) < len(places):
        return None
    right = question.accepts(chosen)
    return ("right" if right else "other"), right


def number(text: str) -> float | None:
    """A number as people write it: 0.25, 1/4, 25%, 1,024, 2.5e3; None for what is none.

    >>> number("1/4"), number("25 %"), number("1,024"), number("many")
    (0.25, 0.25, 1024.0, None)
    """
    text = text.strip().replace(" ", "").replace("−", "-").replace("×", "")
    scale = 1.0
    if text.endswith("%"):
        text, scale = text[:-1], 0.01
    if re.fullmatch(r"-?\d{1,3}(,\d{3})+(\.\d+)?", text):
        text = text.replace(",", "")
    try:
        parts = [float(part) for part in text.split("/")]
        value = parts[0] if len(parts) == 1 else parts[0] / parts[1] if len(parts) == 2 else None
    except (ValueError, ZeroDivisionError):
        return None
    return value * scale if value is not None and abs(value) < 1e300 else None


def exercise(name: str, *, key: str) -> None:
    """An exercise in its code form: the task, the stub to download, and the command that checks it."""
    task = get_exercise(name)
    start = stub(task)
    st.markdown(f"**{task.title}.** {task.task}")
    with st.expander("Code to complete", icon=":material/code:"):
        st.code(start, language="python", wrap_lines=True)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            f"Download {task.name}.py",
            start,
            file_name=f"{task.name}.py",
            mime="text/x-python",
            key=f"{key}_stub",
            icon=":material/download:",
            on_click="ignore",
        )
    st.code(f"python -m gptcore exercise {task.name} {task.name}.py", language="bash", wrap_lines=True)
    st.caption(
        f"The checker recognizes {len(task.mistakes)} common mistakes. For any other mistake, it shows the first "
        "value that differs, with its shape and position. It runs your file on your machine, never on this server."
    )
