"""The ledger: every claim has a row, a row is empty until it was measured here, and can be emptied again."""

import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from gptcore.experiments import claims

ROOT = Path(__file__).resolve().parents[2]
QUICK = "gqa_cache"


@pytest.fixture(autouse=True)
def own_machine(tmp_path, monkeypatch):
    """A lock of its own: what others measure on this machine is not waited for."""
    monkeypatch.setattr(claims, "LOCK", tmp_path / "measuring.lock")


def opened() -> AppTest:
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).switch_page("pages/measured.py").run()
    assert not page.exception
    return page


def test_the_table_holds_what_was_measured_here_and_nothing_else():
    before = opened().dataframe[0].value
    assert list(before["What is said"]) == [one.slogan for one in claims.registry().values()]
    assert set(before["Verdict"]) == {"not measured"}
    assert before["Measured"].isna().all()

    result = claims.measure_exclusively(QUICK)
    row = opened().dataframe[0].value.set_index("What is said").loc[claims.get_claim(QUICK).slogan]
    assert row["Verdict"] == result.verdict
    assert row["Measured"] == result.measured
    assert row["From"] <= row["Measured"] <= row["To"]

    shutil.rmtree(claims.folder())
    assert opened().dataframe[0].value["Measured"].isna().all()
    claims.measure_exclusively(QUICK)
    assert opened().dataframe[0].value["Measured"].notna().sum() == 1


def test_results_can_be_saved_in_three_forms_once_there_are_any():
    assert all(button.proto.disabled for button in opened().get("download_button"))
    claims.measure_exclusively(QUICK)
    saved = opened().get("download_button")
    assert [button.proto.label for button in saved] == ["JSON", "CSV", "Markdown"]
    assert not any(button.proto.disabled for button in saved)


def test_every_claim_stands_on_a_page_of_its_chapter():
    missing = []
    for name, one in claims.registry().items():
        (chapter,) = ROOT.glob(f"pages/{one.chapter:02d}_*.py")
        texts = [chapter, *ROOT.glob(f"pages/labs/{chapter.stem[3:]}/*.py")]
        if not any(f'"{name}"' in path.read_text(encoding="utf-8") for path in texts):
            missing.append(name)
    assert not missing, f"claim.cards of their chapter's page has not {missing}"


def test_what_is_asked_for_waits_and_can_be_taken_back(monkeypatch):
    from gptcore.experiments import claim_queue
    from pages.kit import session

    monkeypatch.setattr(session, "poll_queue", lambda: None)  # nothing is to be measured here
    page = opened()
    page = page.button(key="measured_quick").click().run()
    quick = [one.name for one in claims.registry().values() if one.kind == "quick" and one.needs == "cpu"]
    assert claim_queue.open_claims() == quick
    assert "more wait" in " ".join(caption.value for caption in page.caption)
    page = page.button(key="measured_stop").click().run()
    assert claim_queue.open_claims() == []
    assert page.button(key="measured_all")


def test_the_cards_are_those_of_the_chapter_chosen():
    page = opened()
    chapter = page.selectbox(key="m_chapter")
    for option in chapter.options:
        page = page.selectbox(key="m_chapter").set_value(option).run()
        number = int(option.split(" ")[0])
        slogans = [
            one.slogan for one in claims.registry().values() if one.chapter == number and one.needs == "cpu"
        ]
        shown = " ".join(element.value for element in page.markdown)
        assert [slogan for slogan in slogans if f"“{slogan}”" not in shown] == []
