"""The ledger: every claim has a row with the result that comes with Glassbox, until it was measured here."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from gptcore.experiments import claims, shipped_results
from gptcore.files import write_json
from pages.kit import claim

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


def row_of(page: AppTest, name: str):
    return page.dataframe[0].value.set_index("Claim").loc[claims.get_claim(name).slogan]


def test_the_table_holds_what_comes_with_glassbox_until_it_was_measured_here():
    page = opened()
    table = page.dataframe[0].value
    assert list(table["Claim"]) == [one.slogan for one in claims.registry().values()]
    for name, shipped in shipped_results.read_results(shipped_results.SHIPPED).items():
        row = row_of(page, name)
        assert (row["Verdict"], row["Measured"]) == (claims.VERDICT_NAMES[shipped.verdict], shipped.measured)
        assert (row["Machine"], row["Date"]) == (shipped.machine, claim.date(shipped.when))
    assert [button.proto.label for button in page.get("download_button")] == ["JSON", "CSV", "Markdown"]

    result = claims.measure_exclusively(QUICK)
    row = row_of(opened(), QUICK)
    assert (row["Verdict"], row["Measured"], row["Machine"]) == (
        claims.VERDICT_NAMES[result.verdict],
        result.measured,
        "this machine",
    )
    assert row["From"] <= row["Measured"] <= row["To"]

    shutil.rmtree(claims.folder())
    assert row_of(opened(), QUICK)["Machine"] == shipped_results.shipped_result(QUICK).machine


def with_all_cards(page):
    """The page once the expander of the further cards has been opened."""
    for expander in page.expander:
        if expander.label.endswith("more claims to measure"):
            page.session_state[expander.proto.id.split("-", 2)[-1]] = True
    return page.run()


def test_a_card_names_machine_and_date_and_tells_a_result_that_is_out_of_date():
    def card() -> str:
        page = with_all_cards(opened().selectbox(key="m_chapter").set_value("5 · Attention").run())
        return " ".join(one.value for kind in ("markdown", "caption", "warning") for one in page.get(kind))

    shipped = shipped_results.shipped_result(QUICK)
    before = card()
    assert f"Measured on {shipped.machine}, {claim.date(shipped.when)}: " in before
    assert "Measured here" not in before and "out of date" not in before
    claims.folder().mkdir(parents=True)
    old = replace(shipped, fingerprint="of another measurement")
    write_json(claims.folder() / f"{QUICK}.json", old.to_dict())
    after = card()
    assert after.count("Measured here") == 1 and "out of date" in after


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
    assert "more waiting" in " ".join(caption.value for caption in page.caption)
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
        page = with_all_cards(page)
        shown = " ".join(element.value for element in page.markdown)
        assert [slogan for slogan in slogans if f"“{slogan}”" not in shown] == []
