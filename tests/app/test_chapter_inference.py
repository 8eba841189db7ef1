"""Chapter 9: what the page computes, with the real model."""

import math

import pytest
from streamlit.testing.v1 import AppTest

from pages.kit import models, words
from pages.labs.inference import cached, race, sampling
from pages.labs.inference.race import LANES, Entry, Lap, Race, first_difference, smooth
from pages.labs.inference.two_lanes import trend
from tests.app.reading import formulas, opener, said

LABS_ONLY = "example,code,diagram,measured,check"
LONG = "Once upon a time there was a young queen. " * 60


open_page = opener("09_inference.py")


def until(app: AppTest, done, most: int = 80) -> AppTest:
    """Run the page as its timer does, until something stands there."""
    for _ in range(most):
        if done(app):
            return app
        app.run()
    pytest.fail("it did not come to its end")


def button(app: AppTest, key: str):
    return next(one for one in app.button if one.key == key)


def field(app: AppTest, key: str):
    return next(one for one in app.text_input if one.key == key)


def captions(app: AppTest) -> str:
    return "\n".join(piece.value for piece in app.caption)


def errors(app: AppTest) -> list[str]:
    return [error.value for error in app.error]


def test_the_race_ends_with_a_verdict_bytes_and_both_rates():
    from gptcore.account import cache_bytes

    app = until(open_page(c9_new="16"), lambda app: "identical" in said(app))
    assert not app.exception
    app.session_state["c9_race_tabs"] = "Tokens per second"
    assert sum("Tokens per second" in metric.label for metric in app.run().metric) == len(LANES)
    model, tokenizer = models.shipped().load()
    positions = len(tokenizer.encode(field(app, "c9_prompt").value)) + 16
    bytes_ = f"{cache_bytes(model.config, positions):,}".replace(",", "{,}")
    app.session_state["c9_race_tabs"] = "Memory"
    assert any(f"= {bytes_}" in formula.value for formula in app.run().latex)


def test_a_measurement_in_pieces_writes_what_generate_writes():
    from gptcore.generation.sampling import generate
    from pages.labs.inference.race import TEMPERATURE

    used = models.shipped()
    model, tokenizer = used.load()
    raced = Race(Entry(used, "Once upon a time", 12, 3))
    while not raced.ended:
        raced.work(used, 0.001)
    ids = tokenizer.encode("Once upon a time")
    alone = [step.token_id for step in generate(model, ids, 12, temperature=TEMPERATURE, seed=3)]
    assert all(lap.tokens == alone for lane in LANES for lap in raced.finished(lane))
    assert raced.first_difference() is None
    assert len(raced.seconds(LANES[0])) == 12


def test_a_visitor_finds_the_race_that_another_has_measured_and_the_button_measures_anew():
    first = until(open_page(c9_new="24"), lambda app: "identical" in said(app))
    second = open_page(c9_new="24")
    measured = second.session_state["c9_measured"]
    assert measured is first.session_state["c9_measured"]
    button(second, "c9_race").click().run()
    until(second, lambda app: app.session_state["c9_measured"] is not measured)
    assert open_page(c9_new="24").session_state["c9_measured"] is measured


def test_visitors_measure_the_first_race_together():
    first, second = (open_page(c9_new="40") for _ in range(2))
    race = second.session_state["c9_running"] or second.session_state["c9_measured"]
    assert race is (first.session_state["c9_running"] or first.session_state["c9_measured"])
    assert race.laps
    until(second, lambda app: "identical" in said(app))
    first.run()
    assert first.session_state["c9_measured"] is race


def test_a_race_waits_while_another_is_measured():
    used = models.shipped()
    waiting = Race(Entry(used, "Once upon a time", 2, 0))
    with race._measuring:
        waiting.work(used, 1.0)
        assert waiting.progress == 0 and waiting.lap.lane == LANES[0]
    while not waiting.ended:
        waiting.work(used, 1.0)
    assert waiting.progress == 1


def test_lanes_that_part_are_found():
    assert first_difference([[1, 2, 3], [1, 2, 3]]) is None
    assert first_difference([[1, 2, 3], [1, 4, 3]]) == 1
    assert first_difference([[1, 2], [1, 2, 3]]) == 2
    parted = Race(Entry(models.shipped(), "", 2, 0), [Lap(LANES[0], [1, 2]), Lap(LANES[1], [1, 3])])
    assert parted.first_difference() == 1


def test_a_lap_stopped_half_way_does_not_count():
    stopped = Race(
        Entry(models.shipped(), "", 2, 0), [Lap(LANES[0], [1, 2], [1.0, 1.0]), Lap(LANES[1], [1], [1.0])]
    )
    stopped.steps = iter(())
    assert not stopped.is_comparable
    assert stopped.finished(LANES[1]) == []


def test_the_median_of_neighbours_keeps_a_line_and_drops_an_outlier():
    line = [float(i) for i in range(30)]
    assert smooth(line)[5:-5] == line[5:-5]
    assert smooth([1.0] * 10 + [99.0] + [1.0] * 10) == [1.0] * 21


def test_a_race_from_too_long_a_prompt_gets_one_sentence_and_keeps_the_prompt():
    app = until(open_page(c9_new="8"), lambda app: "identical" in said(app))
    field(app, "c9_prompt").set_value(LONG).run()
    button(app, "c9_race").click().run()
    until(app, lambda app: bool(errors(app)))
    assert any("shorten the prompt" in error for error in errors(app))
    assert field(app, "c9_prompt").value == LONG
    assert not app.exception


def test_softmax_at_a_temperature_is_that_of_the_scores_in_the_link():
    scores = [1.5, 1.0, 0.0, -1.0]
    app = open_page(c9_new="8", c9_scores=",".join(map(str, scores)))
    halved = [math.exp(score / 0.5) for score in scores]
    assert any(f"= {halved[0] / sum(halved):.3f}" in formula.value for formula in app.latex)


def test_top_p_keeps_the_one_that_crosses():
    assert "**top-p = 0.9** keeps 5" in said(open_page(c9_new="8"))
    assert "**top-p = 0.5** keeps 2" in said(open_page(c9_new="8", c9_nine_p="0.5"))


def test_text_is_what_generate_writes_with_the_same_choices():
    from gptcore.generation.sampling import generate

    app = open_page(c9_new="8", c9_text="Once upon a time", c9_length="30", c9_seed="5", c9_top_k="20")
    button(app, "c9_generate").click().run()
    until(app, lambda app: "tokens per second." in captions(app))
    model, tokenizer = models.shipped().load()
    steps = generate(
        model,
        tokenizer.encode("Once upon a time"),
        30,
        temperature=0.8,
        top_k=20,
        seed=5,
        stop_ids=(tokenizer.eot_id,),
    )
    written = "Once upon a time" + tokenizer.decode([step.token_id for step in steps])
    assert written in [text.value for text in app.text]


def test_a_text_that_is_stopped_stays(monkeypatch):
    monkeypatch.setattr(sampling, "FIRST_SECONDS", 0)  # so that it is not written at once
    monkeypatch.setattr(sampling, "PIECE_SECONDS", 0)
    app = open_page(c9_new="8", c9_length="600", c9_past="slide", c9_text="Once upon a time")
    button(app, "c9_generate").click().run()
    button(app, "c9_write_stop").click().run()
    assert "Stopped after 2 tokens." in captions(app)  # one by the click, one as the page was drawn
    assert any(text.value.startswith("Once upon a time") for text in app.text)
    assert not button(app, "c9_generate").disabled


def test_writing_from_too_long_a_prompt_gets_one_sentence():
    app = open_page(c9_new="8")
    field(app, "c9_text").set_value(LONG).run()
    button(app, "c9_generate").click().run()
    assert any("shorten the prompt" in error for error in errors(app))
    assert not app.exception


def test_parts_stand_in_the_order_of_every_chapter():
    from pages.kit.book import PARTS

    assert [one.value for one in open_page(c9_new="8").header] == list(PARTS.values())


def test_the_worked_example_shows_every_step_of_edited_scores():
    scores = [1.2, 0.9, -0.5, 0.0]
    text = formulas(open_page(c9_new="8", c9_scores=",".join(map(str, scores))))
    for degree in (0.5, 1.0, 2.0):
        powers = [math.exp(score / degree) for score in scores]
        for power in powers:
            assert f"{power:.3f}".rstrip("0").rstrip(".") in text
            assert f"{power / sum(powers):.3f}".rstrip("0").rstrip(".") in text


def test_softmax_of_the_books_four_scores():
    text = formulas(open_page(c9_new="8"))
    for known in ("0.828", "0.112", "0.041", "0.019", "0.575", "0.211", "0.406", "0.157"):
        assert known in text


def test_the_number_drawn_falls_into_the_stretch_the_page_names():
    app = open_page(c9_new="8", c9_u="0.95")
    kept = [0.45, 0.22, 0.13, 0.08, 0.05]
    ends = [sum(kept[: place + 1]) / sum(kept) for place in range(5)]
    token = next(place for place, end in enumerate(ends) if end > 0.95)
    assert f"**token {token + 1}** is sampled" in said(app)


@pytest.mark.parametrize(
    ("choice", "size"),
    [
        (
            {"c9_bytes_model": "GPT-2 small", "c9_bytes_tokens": "1024", "c9_bytes_width": "fp32"},
            4 * 18_432 * 1024,
        ),
        ({"c9_bytes_model": "LLaMA 2 70B"}, 1_342_177_280),
        ({"c9_bytes_model": "Qwen 2.5 7B"}, 2 * 28 * 4 * 128 * 4096 * 2),
    ],
    ids=str,
)
def test_the_cache_of_a_published_model_is_the_known_one(choice, size):
    assert f"= {size:,}".replace(",", "{,}") in formulas(
        open_page(c9_new="8", c9_more_bytes="true", **choice)
    )


def test_a_wrong_place_is_found_and_the_right_one_is_not():
    assert "token ids correct" in said(open_page(c9_new="8", c9_more_place="true", c9_place_shift="0"))
    assert "Token ids differ from new token" in said(
        open_page(c9_new="8", c9_more_place="true", c9_place_shift="64")
    )


def test_the_beam_on_the_page_is_the_librarys():
    from gptcore.generation.beam import beam_search

    app = open_page(c9_new="8", hide=LABS_ONLY, c9_beam_width="4", c9_beam_penalty="0.5", c9_beam_most="10")
    assert not app.exception
    shipped = models.shipped()
    model, tokenizer = shipped.load()
    ids = tokenizer.encode(field(app, "c9_beam_prompt").value)
    ends = cached.sentence_ends(shipped)
    found = beam_search(model, ids, 10, n_beams=4, length_penalty=0.5, stop_ids=ends)
    assert f"a score of {found.best.score:.3f}" in said(app)
    assert found.best.score >= found.greedy.score
    assert tokenizer.encode(".")[0] in ends


def test_one_beam_is_greedy_on_the_page_and_a_long_prompt_gets_one_sentence():
    app = open_page(c9_new="8", hide=LABS_ONLY, c9_beam_width="1")
    assert "Greedy decoding and beam search agree here" in said(app)
    field(app, "c9_beam_prompt").set_value(LONG).run()
    assert any("shorten the prompt" in error for error in errors(app))
    assert not app.exception


@pytest.mark.parametrize("draft", ["n-gram table", "earlier checkpoint"])
def test_guessing_ahead_tells_its_calls_its_cost_and_the_clock(draft):
    from gptcore.generation.speculative import expected_speedup
    from pages.labs.inference.speculative import BEGINNING, N_NEW

    app = open_page(c9_new="8", hide=LABS_ONLY, c9_ahead_draft=draft, c9_ahead_k="5", c9_ahead_c="0.2")
    assert not app.exception
    found = cached.speculative_timing(models.shipped(), BEGINNING, draft, 5, 0.8, 1, N_NEW)
    assert f"{found.n_tokens} tokens in {len(found.cycles)} passes of the target model" in said(app)
    assert f"**α = {found.acceptance:.3f}**" in said(app)
    assert f"**{expected_speedup(found.acceptance, 5, 0.2):.2f} times as fast** as without a draft" in said(
        app
    )
    assert f"Measured here: **{found.speedup:.2f} times as fast**" in said(app)


def test_guessing_ahead_greedily_writes_what_the_model_writes_alone():
    from gptcore.generation.sampling import generate

    shipped = models.shipped()
    model, tokenizer = shipped.load()
    ids = tokenizer.encode("Long ago, a king")
    alone = [step.token_id for step in generate(model, ids, 30, temperature=0)]
    for draft in cached.drafts(shipped):
        found = cached.speculative_timing(shipped, "Long ago, a king", draft, 4, 0.0, 1, 30)
        assert [token_id for cycle in found.cycles for token_id in cycle.token_ids] == alone


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        ([1.0, 1.5], "takes longer"),
        ([1.0, 1.1], "about the same"),
        ([17.1, 8.0], "less time here, which is measurement noise"),
    ],
)
def test_what_is_said_of_the_race_follows_from_what_was_measured(seconds, said):
    assert said in trend(seconds, words.load("09_inference"))
