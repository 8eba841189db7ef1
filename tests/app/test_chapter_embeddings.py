"""Chapter 3: what the page prints is what plain arithmetic gives."""

import math
import re

import pytest

from pages.kit import models
from tests.app.reading import formulas, opened_once, opener
from tests.app.reading import said_in_a_line as said

TABLE = ((0.9, 0.4, -0.2), (0.8, 0.5, 0.3), (-0.6, 0.7, 0.1), (0.1, -0.2, 0.1))


open_page = opener("03_embeddings.py")


page = opened_once(open_page)


def cosine(a, b) -> float:
    dot = sum(x * y for x, y in zip(a, b))
    return dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def short(value: float, digits: int = 4) -> str:
    return f"{value:.{digits}f}".rstrip("0").rstrip(".")


@pytest.mark.parametrize(("pair", "rows"), [("king, queen", (0, 1)), ("queen, river", (1, 2))])
def test_the_cosine_of_the_worked_example(pair, rows):
    a, b = (TABLE[row] for row in rows)
    text = formulas(open_page(c3_pair=pair))
    assert rf"\cos = \frac{{{short(sum(x * y for x, y in zip(a, b)))}}}" in text
    assert f"= {short(cosine(a, b))}" in text
    for one in TABLE:
        for other in TABLE:
            assert short(cosine(one, other), 3) in text


def test_an_edited_table_comes_from_the_link():
    text = formulas(open_page(c3_table="1,0,0;0,1,0;1,1,0;0,0,2", c3_pair="king, river"))
    assert short(1 / math.sqrt(2)) in text


def test_a_row_gets_the_sum_of_its_places(page):
    # Token 2 stands at places 1 and 3: (.2, −.1, 0) + (−.4, .2, .1).
    assert r"\begin{pmatrix}-0.2 & 0.1 & 0.1\end{pmatrix}" in formulas(page)
    everywhere = formulas(open_page(c3_ids="2 2 2"))
    assert r"\begin{pmatrix}-0.1 & 0.4 & -0.1\end{pmatrix}" in everywhere


def test_which_rows_a_step_moves(page):
    assert "3 rows were used and 13 were not" in said(page)
    assert "**0** changed when untied, **13** when tied, and **13** with AdamW" in said(page)


def test_ids_that_cannot_be_get_one_sentence():
    app = open_page(c3_step_ids="99")
    assert any("two or more ids from 0 to 15" in one.value for one in app.info)
    assert [one.value for one in app.header][-1] == "Further reading"


def test_the_finding_counts_rows_on_one_spot_that_no_story_reads(page):
    found = re.search(
        r"\*\*(\d+) others have collapsed onto one spot\*\*.*Of these (\d+) tokens, (\d+) occur in 500",
        said(page),
    )
    n, again, seen = map(int, found.groups())
    assert n == again > 300 and seen == 0


def test_the_rank_of_queen_is_that_of_a_plain_search(page):
    import torch

    from gptcore.checkpoint import SHIPPED
    from gptcore.formats import load

    model, tokenizer = load(SHIPPED)
    table = model.embedding.weight.detach()
    king, man, woman, queen = (tokenizer.encode(f" {w}")[0] for w in ("king", "man", "woman", "queen"))
    target = table[king] - table[man] + table[woman]
    alike = torch.nn.functional.cosine_similarity(table, target.unsqueeze(0))
    above = (alike > alike[queen]).nonzero().flatten().tolist()
    fair = len(set(above) - {king, man, woman}) + 1
    assert (
        f"*queen* has rank **{fair}** without the three input words and rank **{len(above) + 1}** with them"
        in said(page)
    )


def test_inputs_that_compete_stand_among_the_bars():

    app = open_page(c3_sum_inputs="true")
    assert "king − man + woman = ?" in said(app)
    assert models.SHIPPED == "shipped"


def test_a_word_of_several_tokens_has_no_row():
    app = open_page(c3_near_word="antidisestablishment")
    assert any("It has no row of its own" in one.value for one in app.info)


def test_neighbours_at_birth_are_chance():
    now, birth = open_page(c3_near_word="red"), open_page(c3_near_word="red", c3_near_at="at birth")

    def best(app):
        return float(re.search(r"Nearest to \*red\* .*?cosine \*\*([\d.]+)\*\*", said(app)).group(1))

    assert best(now) > 0.7 > 0.5 > best(birth)


def test_a_turned_model_is_the_same_model():
    app = open_page(c3_more_turn="true")
    chance = float(re.search(r"differs by more than \*\*([\de.+-]+)\*\*", said(app)).group(1))
    before, after = re.search(r"is ([\d.]+) before and ([\d.]+) after", said(app)).groups()
    assert chance < 1e-4 and float(before) == pytest.approx(float(after), abs=1e-3)


def test_the_length_of_a_row_is_forgotten_by_the_norm():
    assert "the norm removes the scale" in said(open_page(c3_more_scale="true"))


def test_parts_stand_in_the_order_of_every_chapter(page):
    from pages.kit.book import PARTS

    assert [one.value for one in page.header] == list(PARTS.values())
