"""Chapter 3: maps of a model's own table, neighbours in it, and arithmetic with its rows."""

import streamlit as st

from pages.kit import chips, controls, figures, initialization, lab, models, plots, prompt, words
from pages.kit.pronoun_story import storyteller
from pages.labs.embeddings import cached

GROUPS = {
    "nobles": "king queen prince princess duke duchess lord lady",
    "names": "Mira Anna Clara Nora Tom Ben Leo Finn",
    "animals": "fox rabbit bird owl cat dog mouse bear",
    "colours": "red blue green white yellow black brown",
    "places": "river lake sea pond stream forest hill village",
    "deeds": "ran walked went rode said asked found lost",
}
SHOWN = 8


def id_of(word: str, tokenizer) -> int | None:
    """The token of a word with a space before it; None where it is several."""
    ids = tokenizer.encode(f" {word}")
    return ids[0] if len(ids) == 1 else None


def on_map(tokenizer) -> dict[str, list[tuple[str, int]]]:
    """The words of the map that are one token, by group."""
    return {
        group: [(word, one) for word in listed.split() if (one := id_of(word, tokenizer)) is not None]
        for group, listed in GROUPS.items()
    }


def pairs(tokenizer) -> dict[str, tuple[int, int]]:
    """The pairs of the story world, his and hers, that are one token each: `king → queen`."""
    from gptcore.stories import lexicon

    every = (
        lexicon.ROYAL_PAIRS
        + lexicon.FOLK_PAIRS
        + lexicon.CHILD_PAIRS
        + lexicon.ELDER_KIN_PAIRS
        + lexicon.SIBLING_PAIRS
        + lexicon.FAMILY_PAIRS
    )
    found = {}
    for pair in every:
        his, hers = (id_of(word, tokenizer) for word in pair.split("/"))
        if his is not None and hers is not None:
            found[pair.replace("/", " → ")] = (his, hers)
    return found


def tables(model: models.ModelHandle) -> dict[str, object]:
    """The model's table at every moment that is kept, from its birth to now."""
    found = {}
    if (born := initialization.initial_model(model)) is not None:
        found["at birth"] = born.embedding.weight.detach()
    for one in models.snapshots(model):
        if one.step:
            found[f"step {one.step}"] = one.handle.model.embedding.weight.detach()
    found["trained"] = model.model.embedding.weight.detach()
    return found


@st.fragment
def before_and_after() -> None:
    """Some fifty words on a map, at birth and at moments of training."""
    import torch

    from gptcore.interpret import embedding_table

    text = words.load("03_embeddings")
    with lab.frame("c3_map", text.read("lab_map_title")):
        text.show("lab_map")
        model = storyteller()
        found = tables(model)
        moment = controls.listed(text.read("lab_map_moment"), "c3_map_at", list(found), default="trained")
        groups = on_map(model.tokenizer)
        ids = torch.tensor([one for listed in groups.values() for _, one in listed])
        table = found[moment][ids].float()
        laid = embedding_table.flat_map(table)
        points = iter(laid.points.tolist())
        picture = plots.scatter(
            {group: [(*next(points), word) for word, _ in listed] for group, listed in groups.items()},
            x_title="widest direction",
            y_title="second widest",
            height=460,
            revision=f"map {moment}",
        )
        picture.figure.update_traces(textfont={"size": 11})
        st.plotly_chart(picture.figure, key="c3_map_points", config=figures.CONFIG, alt=picture.alt)
        text.show(
            "lab_map_says",
            moment=moment,
            kept=laid.kept,
            width=table.shape[1],
            near=embedding_table.neighbours_kept(table),
            together=_together(table, groups),
        )
        born = found.get("at birth")
        if born is not None:
            at_birth = float(embedding_table.cosines(born[ids[:1]], born[ids[1:2]]))
            now = float(embedding_table.cosines(found["trained"][ids[:1]], found["trained"][ids[1:2]]))
            one, two = (word for word, _ in groups["nobles"][:2])
            lab.predict(
                "c3_map",
                text.read("lab_map_predict", one=one, two=two),
                (
                    text.read("lab_map_predict_near"),
                    text.read("lab_map_predict_chance"),
                    text.read("lab_map_predict_same"),
                ),
                right=1 if abs(at_birth) < 0.35 else 0,
                because=text.read("lab_map_predict_because", birth=at_birth, now=now),
                then={"c3_map_at": "at birth"},
            )


def _together(table, groups) -> float:
    """The share of words whose nearest word on the list, in the table itself, is of their own group."""
    from gptcore.interpret import embedding_table

    kinds = [group for group, listed in groups.items() for _ in listed]
    near = embedding_table.cosines(table, table).fill_diagonal_(-2.0).argmax(1).tolist()
    return sum(kinds[place] == kinds[other] for place, other in enumerate(near)) / len(kinds)


@st.fragment
def neighbours() -> None:
    """The rows nearest to that of one word, at birth and now."""
    from gptcore.interpret import embedding_table

    text = words.load("03_embeddings")
    with lab.frame("c3_near", text.read("lab_near_title")):
        text.show("lab_near")
        model = storyteller()
        found = tables(model)
        left, right = st.columns([3, 2], gap="large", vertical_alignment="bottom")
        with left:
            typed = prompt.text_input(
                text.read("lab_near_word"),
                "c3_near_word",
                "queen",
                ("queen", "red", "ran", "river", "she", "Mira"),
            ).strip()
        with right:
            moment = controls.listed(
                text.read("lab_near_moment"), "c3_near_at", list(found), default="trained"
            )
        one = id_of(typed, model.tokenizer) if typed else None
        if one is None:
            _in_pieces(typed, model.tokenizer, text)
        else:
            best = embedding_table.nearest(found[moment], found[moment][one], SHOWN, without=[one])
            _bars([(model.tokenizer.token_text(i), cosine) for i, cosine in best], "c3_near_bars", "near")
            text.show(
                "lab_near_says",
                word=typed,
                best=chips.visible(model.tokenizer.token_text(best[0][0])).strip("␣"),
                cosine=best[0][1],
                moment=moment,
            )
        now = found["trained"]
        red, green, apple = (id_of(word, model.tokenizer) for word in ("red", "green", "apple"))
        if None in (red, green, apple):
            return
        to_green, to_apple = embedding_table.cosines(now[[red]], now[[green, apple]])[0].tolist()
        lab.predict(
            "c3_near",
            text.read("lab_near_predict"),
            (text.read("lab_near_predict_apple"), text.read("lab_near_predict_green")),
            right=1 if to_green > to_apple else 0,
            because=text.read("lab_near_predict_because", green=to_green, apple=to_apple),
            then={"c3_near_word": "red", "c3_near_at": "trained"},
        )


def _in_pieces(typed: str, tokenizer, text: words.Words) -> None:
    from pages.labs.tokens.finding import parts

    if not typed:
        st.info(text.read("lab_near_empty"), icon=":material/info:")
    else:
        ids = tokenizer.encode(f" {typed}")[:12]
        st.info(text.read("lab_near_pieces", n=len(ids), parts=parts(ids, tokenizer)), icon=":material/info:")


def _bars(best: list[tuple[str, float]], key: str, revision: str, wanted: str | None = None) -> None:
    """Tokens with their cosines as upright bars; the one wanted is orange."""
    names = [chips.visible(name) for name, _ in best]
    picture = plots.columns(
        names, {"cosine": [cosine for _, cosine in best]}, y_title="cosine", form=".2f", height=270,
        revision=revision,
    )  # fmt: skip
    colors = [figures.ORANGE if name == wanted else figures.BLUE for name in names]
    picture.figure.update_traces(marker={"color": colors})
    picture.figure.update_yaxes(range=[min(0.0, *(c for _, c in best)), 1.15])
    st.plotly_chart(picture.figure, key=key, config=figures.CONFIG, alt=picture.alt)


@st.fragment
def analogies() -> None:
    """king − man + woman, with the honest rank of the answer."""
    from gptcore.interpret import embedding_table

    text = words.load("03_embeddings")
    with lab.frame("c3_sum", text.read("lab_sum_title")):
        text.show("lab_sum")
        model = storyteller()
        table, tokenizer = model.model.embedding.weight.detach(), model.tokenizer
        known = pairs(tokenizer)
        if len(known) < 2:
            st.info(text.read("lab_sum_unknown"), icon=":material/info:")
            return
        names = list(known)
        left, middle, right = st.columns([2, 2, 2], gap="medium", vertical_alignment="bottom")
        with left:
            asked = controls.listed(text.read("lab_sum_asked"), "c3_sum_asked", names, default=names[0])
        with middle:
            man = "man → woman" if "man → woman" in names else names[1]
            by = controls.listed(text.read("lab_sum_by"), "c3_sum_by", names, default=man)
        with right:
            allowed = controls.switch(text.read("lab_sum_inputs"), "c3_sum_inputs", False)
        (a, wanted), (b, c) = known[asked], known[by]
        if asked == by:
            st.info(text.read("lab_sum_same"), icon=":material/info:")
            return
        found = embedding_table.analogy(table, a, b, c, wanted, most=SHOWN)

        def plain(one: int) -> str:
            return chips.visible(tokenizer.token_text(one)).strip("␣")

        st.markdown(f"#### {plain(a)} − {plain(b)} + {plain(c)} = ?", anchors=False)
        best = found.best if allowed else found.best_without_inputs
        _bars(
            [(tokenizer.token_text(i), cosine) for i, cosine in best],
            "c3_sum_bars",
            "analogy",
            chips.visible(tokenizer.token_text(wanted)),
        )
        text.show(
            "lab_sum_says",
            wanted=plain(wanted),
            rank=found.rank_without_inputs,
            inputs=found.rank,
            plain=found.rank_without_arithmetic,
            c=plain(c),
            v=len(table),
        )
        fair, naive, lazy, n = cached.analogy_scores(model, tuple(known.values()))
        text.show("lab_sum_all", n=n, fair=fair, naive=naive, lazy=lazy)
        winner = found.best[0][0]
        lab.predict(
            "c3_sum",
            text.read("lab_sum_predict"),
            (
                text.read("lab_sum_predict_queen", wanted=plain(wanted)),
                text.read("lab_sum_predict_input"),
                text.read("lab_sum_predict_other"),
            ),
            right=0 if winner == wanted else 1 if winner in (a, b, c) else 2,
            because=text.read("lab_sum_predict_because", winner=plain(winner), naive=naive, fair=fair, n=n),
            then={"c3_sum_inputs": True},
        )
