"""Questions: their words agree with their entries, their answers are right by computation, seeds repeat."""

import math
from importlib import import_module
from pathlib import Path

import pytest

import pages.labs
from pages.kit import quiz, words
from pages.kit.quiz import Bug, Choice, Numeric, Order, judge_number, number, wording

BANKS = sorted(path.parent.name for path in Path(pages.labs.__file__).parent.glob("*/quiz.py"))
SEEDS = range(1, 13)
banks = pytest.mark.parametrize("bank", BANKS)


def file_of(bank: str) -> str:
    """The words of a bank: `attention` belongs to 05_attention."""
    (path,) = (words.TEXT / "en" / "questions").glob(f"*_{bank}.md")
    return path.stem


def questions(bank: str, seed: int):
    return import_module(f"pages.labs.{bank}.quiz").questions(seed)


@banks
@pytest.mark.parametrize("seed", SEEDS)
def test_words_and_entries_agree(bank, seed):
    for question in questions(bank, seed):
        text = wording(file_of(bank), question)
        assert text.question
        assert all(said for _, said in text.answers.values())
        if isinstance(question, Choice):
            assert all(offered for offered, _ in text.answers.values())
            assert len(text.answers) >= 3


@banks
def test_every_question_written_is_asked(bank):
    written = set(words.questions(file_of(bank)).sections)
    assert written == {question.name for question in questions(bank, 1)}


@banks
def test_a_chapter_asks_five_to_ten_questions(bank):
    assert 5 <= len(questions(bank, 1)) <= 10


@banks
def test_the_same_seed_asks_the_same(bank):
    def shape(seed):
        return [(q.name, getattr(q, "right", None), dict(q.numbers)) for q in questions(bank, seed)]

    assert shape(3) == shape(3)
    assert any(shape(3) != shape(seed) for seed in (4, 5, 6))


@banks
@pytest.mark.parametrize("seed", SEEDS)
def test_no_mistake_passes_for_the_right_number(bank, seed):
    for question in questions(bank, seed):
        if isinstance(question, Numeric):
            assert math.isfinite(question.right)
            assert judge_number(question, question.right) == "right"
            for name, wrong in question.mistakes.items():
                assert judge_number(question, wrong) != "right", (question.name, name)


@banks
def test_a_right_order_is_accepted_and_a_wrong_one_is_not(bank):
    for question in questions(bank, 1):
        if isinstance(question, Order):
            places = list(range(len(question.lines)))
            assert question.accepts(places)
            assert not question.accepts(places[::-1])
        if isinstance(question, Bug):
            assert 1 <= question.right <= len(question.lines)


@pytest.mark.parametrize("seed", SEEDS)
def test_attention_by_hand_is_what_plain_python_computes(seed):
    question = next(q for q in questions("attention", seed) if q.name == "by_hand")
    n = question.numbers
    scores = [(n["q1"] * n[f"{k}1"] + n["q2"] * n[f"{k}2"]) / math.sqrt(2) for k in "ab"]
    first, second = map(math.exp, scores)
    assert question.right == pytest.approx(first / (first + second), abs=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_cache_and_weights_are_what_plain_python_computes(seed):
    by_name = {q.name: q for q in questions("attention", seed)}
    n = by_name["cache_bytes"].numbers
    held = 2 * n["layers"] * n["kv"] * n["width"] * n["tokens"] * 2 / 1e6
    assert by_name["cache_bytes"].right == pytest.approx(held)
    # Four equal matrices, two of which shrink to a quarter.
    assert by_name["weights_saved"].right == pytest.approx(100 * (2 * 0.75) / 4)


def test_the_bug_is_the_line_that_breaks_the_sum_of_a_row():
    import torch

    question = next(q for q in questions("attention", 1) if isinstance(q, Bug))
    torch.manual_seed(0)
    place = {"torch": torch, "q": torch.randn(3, 4), "k": torch.randn(3, 4), "v": torch.randn(3, 4)}
    place |= {"scale": 0.5, "allowed": torch.ones(3, 3).tril().bool()}
    sums = []
    for line in question.lines:
        exec(line, place)
        if "weights" in place:
            sums.append(place["weights"].sum(-1))
    assert torch.allclose(sums[0], torch.ones(3))  # right up to the line before
    assert not torch.allclose(sums[1], torch.ones(3))
    assert "masked_fill" in question.lines[question.right - 1]


@pytest.mark.parametrize(
    ("typed", "value"),
    [("0.25", 0.25), ("1/4", 0.25), ("25 %", 0.25), ("1,024", 1024.0), ("2.5e3", 2500.0), ("−3", -3.0)],
)
def test_numbers_are_read_as_people_write_them(typed, value):
    assert number(typed) == pytest.approx(value)


@pytest.mark.parametrize("typed", ["", "many", "1/0", "1/2/3", "inf", "nan", "1e999"])
def test_what_is_no_number_is_none(typed):
    assert number(typed) is None


def test_words_that_say_nothing_to_an_answer_are_refused(tmp_path, monkeypatch):
    (tmp_path / "en" / "questions").mkdir(parents=True)
    (tmp_path / "en" / "questions" / "x.md").write_text(
        "## q\nHow many?\n\n- [right] Yes.\n", encoding="utf-8"
    )
    monkeypatch.setattr(words, "TEXT", tmp_path)
    assert wording("x", Numeric(name="q", right=1.0)).answers == {"right": ("", "Yes.")}
    with pytest.raises(words.WordsError, match="has no reply for half"):
        wording("x", Numeric(name="q", right=1.0, mistakes={"half": 0.5}))
    with pytest.raises(words.WordsError, match="not a possible answer"):
        (tmp_path / "en" / "questions" / "y.md").write_text("## q\nHow?\n\n- [right] Yes.\n- [odd] No.\n")
        wording("y", Numeric(name="q", right=1.0))


def script():
    from pages.labs import attention
    from pages.kit import quiz

    quiz.cards(5, "05_attention", attention.quiz.questions)


def test_a_wrong_answer_is_explained_and_a_right_one_ticked():
    from streamlit.testing.v1 import AppTest

    app = AppTest.from_function(script, default_timeout=60).run()
    question = questions("attention", quiz.SEED)[3]
    key = f"c5_q_{question.name}_{quiz.SEED}"
    app.session_state["c5_questions"] = "Question 4"
    app.run()
    app.text_input(key=key).set_value(str(question.mistakes["query_heads"])).run()
    assert any("counts the query heads" in said.value for said in app.warning)
    app.text_input(key=key).set_value(str(question.right)).run()
    assert any("Right" in said.value for said in app.success)
    assert "c5.cache_bytes" in app.session_state["progress"]["passed"]
    assert any("1 of 8 answered" in said.value for said in app.markdown)
    assert any(":material/check_circle:" in said.value for said in app.markdown)  # at once, not a click later
    app.session_state["c5_questions"] = "Question 1"
    app.run()
    assert key not in [one.key for one in app.text_input]  # only the open question is drawn
    app.session_state["c5_questions"] = "Question 4"
    assert app.run().text_input(key=key).value == str(question.right)
    app.text_input(key=key).set_value("").run()
    app.session_state["c5_questions"] = "Question 1"
    app.run()
    app.session_state["c5_questions"] = "Question 4"
    assert app.run().text_input(key=key).value == ""


def test_a_chapter_whose_questions_are_all_answered_is_ticked_in_the_list():
    from streamlit.testing.v1 import AppTest

    def script():
        import streamlit as st

        from pages.labs import attention
        from pages.kit import book, progress, quiz

        names = [f"c5.{question.name}" for question in attention.quiz.questions(1)]
        progress.tick(*(names if st.query_params.get("all") else names[1:]))
        quiz.cards(5, "05_attention", attention.quiz.questions)
        st.text(book.page_of(book.row_of("05_attention.py")).icon)

    app = AppTest.from_function(script, default_timeout=60).run()
    assert [one.value for one in app.text] == [":material/center_focus_strong:"]
    app.query_params["all"] = "1"
    assert [one.value for one in app.run().text] == [":material/check_circle:"]


def test_a_class_sees_the_questions_of_its_link():
    from streamlit.testing.v1 import AppTest

    app = AppTest.from_function(script, default_timeout=60)
    app.query_params["seed"] = "77"
    app.session_state["c5_questions"] = "Question 4"
    app.run()
    assert app.text_input(key="c5_q_cache_bytes_77")


def test_folder_of_questions_holds_one_file_a_bank():
    files = {path.stem for path in (Path(words.TEXT) / "en" / "questions").glob("*.md")}
    assert files == {file_of(bank) for bank in BANKS}
