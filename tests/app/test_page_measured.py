"""The ledger: every claim has a row, a row is empty until it was measured here, and can be emptied again."""

import json
import shutil
from pathlib import Path

from streamlit.testing.v1 import AppTest

from gptcore import claims

ROOT = Path(__file__).resolve().parents[2]
QUICK = "gqa_cache"


def opened() -> AppTest:
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).switch_page("pages/measured.py").run()
    assert not page.exception
    return page


def test_the_table_holds_what_was_measured_here_and_nothing_else():
    before = opened().dataframe[0].value
    assert list(before["What is said"]) == [one.slogan for one in claims.registry().values()]
    assert set(before["Verdict"]) == {"not measured"}
    assert before["Measured"].isna().all()

    result = claims.measure_in_turn(QUICK)
    row = opened().dataframe[0].value.set_index("What is said").loc[claims.named(QUICK).slogan]
    assert row["Verdict"] == result.verdict
    assert row["Measured"] == result.measured
    assert row["From"] <= row["Measured"] <= row["To"]

    shutil.rmtree(claims.folder())
    assert opened().dataframe[0].value["Measured"].isna().all()


def test_results_can_be_saved_as_json():
    result = claims.measure_in_turn(QUICK)
    saved = opened().get("download_button")[0]
    assert json.loads(json.dumps(result.to_dict()))["verdict"] in ("holds", "holds not", "depends")
    assert not saved.proto.disabled


def test_the_cards_are_those_of_the_chapter_chosen():
    page = opened()
    chapter = page.selectbox(key="m_chapter")
    for option in chapter.options:
        page = page.selectbox(key="m_chapter").set_value(option).run()
        number = int(option.split(" ")[0])
        slogans = [one.slogan for one in claims.registry().values() if one.chapter == number]
        shown = " ".join(element.value for element in page.markdown)
        assert all(f"“{slogan}”" in shown for slogan in slogans)
