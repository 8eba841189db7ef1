"""Chapter 5: what the page prints is what an independent computation gives."""

import math
import re

import pytest

from tests.app.reading import ROOT, formulas, opened_once, opener, said

Q = ((0.8, 0.1), (-0.2, 0.7), (0.5, -0.4))
K = ((0.6, -0.3), (0.1, 0.5), (-0.4, 0.8))
V = ((0.4, 0.9), (-0.3, 0.2), (0.7, -0.1))


open_page = opener("05_attention.py")


page = opened_once(open_page)


def softmax(scores):
    powers = [math.exp(score) for score in scores]
    return [power / sum(powers) for power in powers]


def by_hand(q, k, v):
    """Causal attention in plain Python: weights and mixtures, row by row."""
    rows = []
    for place, query in enumerate(q):
        scores = [sum(a * b for a, b in zip(query, key)) / math.sqrt(2) for key in k[: place + 1]]
        weights = softmax(scores)
        rows.append((weights, [sum(w * value[i] for w, value in zip(weights, v)) for i in range(2)]))
    return rows


def short(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")


def test_the_numbers_of_the_worked_example(page):
    text = formulas(page)
    for known in ("0.4581", "0.3062", "0.2357", "0.2564", "0.3854", "0.6146"):
        assert known in text
    assert r"0.8 \cdot 0.6 + 0.1 \cdot (-0.3) = 0.45" in text
    for weights, mixed in by_hand(Q, K, V):
        for value in (*weights, *mixed):
            assert short(value) in text


def test_edited_matrices_come_from_the_link_and_every_step_follows():
    q = ((1.5, -0.5), (0.25, 2), (-1, 1))
    app = open_page(c5_q="1.5,-.5;.25,2;-1,1", c5_cell="3,2")
    text = formulas(app)
    for weights, mixed in by_hand(q, K, V):
        for value in (*weights, *mixed):
            assert short(value) in text
    assert r"(-1) \cdot 0.1 + 1 \cdot 0.5 = 0.4" in text  # the cell asked for


def test_a_zero_after_the_softmax_leaves_the_sum_the_page_says():
    app = open_page(c5_cell="2,1")
    scores = [sum(a * b for a, b in zip(Q[1], key)) / math.sqrt(2) for key in K]
    left = sum(softmax(scores)[:2])
    assert f"row 2 would sum to **{left:.4f}**" in said(app)


def test_the_finding_names_the_head_that_remembers_and_what_is_lost_without_it(page):
    from gptcore.checkpoint import SHIPPED
    from gptcore.formats import load
    from gptcore.interpret import heads
    from gptcore.stories.scores import reference_probe
    from gptcore.tracing import trace

    model, tokenizer = load(SHIPPED)
    text = reference_probe()[0].female
    ids = tokenizer.encode(text)
    name = next(
        i for i, token in enumerate(ids) if tokenizer.token_text(token).strip() in ("Mira", "Anna", "Nora")
    )
    found = heads.weights(trace(model, ids))[:, :, -1, name]
    layer, head = divmod(int(found.argmax()), model.config.n_heads)
    assert f"layer\n{layer + 1}, head {head + 1}**" in said(
        page
    ) or f"{layer + 1}, head {head + 1}**" in said(page)
    assert f"**{found.max():.0%}**" in said(page)
    import torch

    def she(one):
        with torch.no_grad():
            chance = torch.softmax(one(torch.tensor([ids]))[0, -1], -1)
        return chance[tokenizer.encode(" she")[0]].item()

    after = she(heads.without_head(model, layer, head))
    assert she(model) - after > 0.25  # the shipped model has such a head
    assert f"**{after:.0%}**" in said(page)


def test_the_cache_of_a_published_shape_is_the_known_one(page):
    assert "**1.34 GB**" in said(page)  # LLaMA 2 70B, 8 key heads, 4,096 tokens, bf16
    app = open_page(c5_kv_heads="64")
    assert "**10.7 GB**" in said(app)


def test_scores_scaled_by_d_are_nearly_equal_and_unscaled_ones_pick_one(page):
    (found,) = re.findall(
        r"largest weight is \*\*([\d.]+)\*\* without scaling, \*\*([\d.]+)\*\* with .*? and \*\*([\d.]+)\*\*",
        said(page),
        flags=re.DOTALL,
    )
    none, root, whole = map(float, found)
    assert none > 0.7 > root > 0.15 > whole > 1 / 16


def test_the_mask_stops_every_leak_and_without_it_all_leak():
    on, off = open_page(), open_page(c5_mask_on="false")
    assert "**0 changed**" in said(on)
    before, moved = re.search(r"Of the (\d+) earlier outputs, \*\*(\d+) changed", said(off)).groups()
    assert before == moved != "0"


def test_switching_the_head_off_shows_both_models():
    app = open_page(c5_heads_off="true")
    assert "With and without layer" in said(app)


def test_the_flag_of_the_kernel_is_wrong_with_a_cache_and_right_without(page):
    app = open_page(c5_more_flag="true")
    assert "the output is wrong for 3 of 3 new tokens" in said(app)
    app = open_page(c5_more_flag="true", c5_flag_cached="0")
    assert "With an empty cache both are the same" in said(app)


def test_a_lesson_link_hides_parts_opens_steps_and_shows_its_note():
    app = open_page(hide="measured,check", step="3", note="Guess step 4 *first*.")
    headings = [one.value for one in app.header]
    assert "Measured claims" not in headings and "Check yourself" not in headings and "Labs" in headings
    assert "Guess step 4 *first*." in [text.value for text in app.text]  # as text, not as Markdown
    assert "##### 3 · " in said(app) and "##### 4 · " not in said(app)
    assert any(button.label == "Show step 4 of 8" for button in app.button)


def test_the_short_path_has_the_figure_the_example_one_lab_and_three_questions():
    from pages.kit.book import PARTS, SHORT_PATH

    app = open_page(path="short")
    assert [one.value for one in app.header] == [PARTS[part] for part in PARTS if part in SHORT_PATH]
    labs = [
        one.value
        for one in app.subheader
        if one.value in ("What does each head attend to?", "More experiments")
    ]
    assert labs == ["What does each head attend to?"]
    assert [tab.label for tab in app.tabs if tab.label.startswith("Question")] == [
        f"Question {number}" for number in (1, 2, 3)
    ]
    app.toggle(key="path_chosen").set_value(False).run()
    assert [one.value for one in app.header] == list(PARTS.values())


def test_parts_stand_in_the_order_of_every_chapter(page):
    from pages.kit.book import PARTS

    assert [one.value for one in page.header] == list(PARTS.values())


def test_a_text_too_long_gets_one_sentence_and_the_rest_stands():
    app = open_page()
    field = next(one for one in app.text_input if one.key == "c5_heads_text")
    field.set_value("Once upon a time there was a young queen. " * 60).run()
    assert not app.exception
    assert any("context_length" in error.value for error in app.error)
    assert [one.value for one in app.header][-1] == "Further reading"


def test_a_token_chosen_by_a_link_is_the_one_that_asks():
    app = open_page(c5_heads_at="5")
    assert "attends from *Mira* most to" in said(app)
    app = open_page(c5_heads_at="99")
    assert any("c5_heads_at=99" in warning.value for warning in app.warning)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A runs folder with one model of another shape, which has read another text and learned next to nothing."""
    import subprocess
    import sys

    runs = tmp_path_factory.mktemp("own_runs")
    text = runs / "text.txt"
    text.write_text(
        "The fox saw the owl. The owl saw nothing but the moon over the hill.\n" * 200, encoding="utf-8"
    )
    shape = ["d_model=32", "n_layers=2", "n_heads=4", "n_kv_heads=2", "d_ff=48", "context_length=32"]
    settings = [
        *shape,
        "position=learned",
        "threads=1",
        "precision=fp32",
        "attention_path=fused",
        "n_samples=0",
    ]
    command = [sys.executable, "-m", "gptcore", "train", "--corpus", str(text), "--steps", "2", "--json"]
    subprocess.run(
        [*command, "--set", *settings, "--out", str(runs / "mine")], check=True, capture_output=True, cwd=ROOT
    )
    return runs


def test_every_lab_works_on_a_model_of_the_learners_own(own, monkeypatch):
    monkeypatch.setenv("GLASSBOX_RUNS", str(own))
    app = open_page(model="mine", c5_more_flag="true", c5_more_habits="true", c5_more_fused="true")
    assert "What does each head attend to?" in [one.value for one in app.subheader]
    field = next(one for one in app.text_input if one.key == "c5_heads_text")
    field.set_value("The owl saw the fox").run()
    assert not app.exception
    assert "layer 2, head 4" in app.selectbox(key="c5_heads_head").options
    # The finding stays: it falls back to the shipped model, which has read the stories.
    assert "One head finds out who the story is about" in said(app)


def test_the_button_asks_for_a_run_without_a_mask(monkeypatch):
    from pages.kit import session

    asked = []

    def ask(request, *, lab):
        asked.append((request, lab))
        raise ValueError("not here")

    app = open_page()
    monkeypatch.setattr(session, "start_run", ask)
    app.button(key="c5_mask_train").click().run()
    assert not app.exception
    ((request, lab),) = asked
    assert dict(request.settings)["causal"] is False and lab
    assert any("not here" in error.value for error in app.error)


def test_a_model_that_looks_ahead_falls_below_the_floor():
    """The loss that cheats: on text whose every token is drawn at random, no honest model beats ln V."""
    import torch

    from gptcore.config import ModelConfig
    from gptcore.model import GPT

    losses = {}
    for causal in (True, False):
        config = ModelConfig(
            vocab_size=16, context_length=16, d_model=32, n_layers=1, n_heads=2, d_ff=64, causal=causal
        )
        model, generator = GPT(config), torch.Generator().manual_seed(0)
        optimizer = torch.optim.Adam(model.parameters(), 2e-2)
        for _ in range(80):
            text = torch.randint(16, (8, 17), generator=generator)
            loss = model.loss(text[:, :-1], text[:, 1:])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses[causal] = loss.item()
    assert losses[True] > math.log(16) - 0.1
    assert losses[False] < 0.6 * math.log(16)
