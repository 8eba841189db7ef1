"""Chapter 3: a map of some fifty words, before, during and after training."""

import streamlit as st
import torch

from gptcore.interpret import embedding_table
from pages.kit import controls, figures, initialization, lab, models, plots, session, words
from pages.kit.pronoun_story import storyteller

GROUPS = {
    "nobles": "king queen prince princess duke duchess lord lady",
    "names": "Mira Anna Clara Nora Tom Ben Leo Finn",
    "animals": "fox rabbit bird owl cat dog mouse bear",
    "colors": "red blue green white yellow black brown",
    "places": "river lake sea pond stream forest hill village",
    "verbs": "ran walked went rode said asked found lost",
}


def token_of(word: str, tokenizer) -> int | None:
    """The token of a word with a space before it; None if the word has several tokens."""
    ids = tokenizer.encode(f" {word}")
    return ids[0] if len(ids) == 1 else None


def words_by_group(tokenizer) -> dict[str, list[tuple[str, int]]]:
    """The words of the map that are single tokens, by group."""
    return {
        group: [(word, token) for word in listed.split() if (token := token_of(word, tokenizer)) is not None]
        for group, listed in GROUPS.items()
    }


def tables_by_moment(model: models.ModelHandle) -> dict[str, object]:
    """The embedding matrix at every saved moment, from initialization to the end of training."""
    tables = {}
    if (initial := initialization.initial_model(model)) is not None:
        tables["initialization"] = initial.embedding.weight.detach()
    for snapshot in models.snapshots(model):
        if snapshot.step:
            tables[f"step {snapshot.step}"] = models.embedding_matrix(snapshot.handle)
    tables["trained"] = model.model.embedding.weight.detach()
    return tables


@st.fragment
def word_map() -> None:
    """About fifty words on a map, at initialization and during training."""
    text = words.load("03_embeddings")
    with lab.frame("c3_map", text.read("lab_map_title")):
        text.show("lab_map")
        model = storyteller()
        session.caption_other_model(model)
        tables = tables_by_moment(model)
        moment = controls.dropdown(text.read("lab_map_moment"), "c3_map_at", list(tables), default="trained")
        groups = words_by_group(model.tokenizer)
        ids = torch.tensor([token for listed in groups.values() for _, token in listed])
        table = tables[moment][ids].float()
        projection = embedding_table.pca_projection(table)
        points = iter(projection.points.tolist())
        picture = plots.scatter(
            {group: [(*next(points), word) for word, _ in listed] for group, listed in groups.items()},
            x_title="first principal component",
            y_title="second principal component",
            height=460,
            revision=f"map {moment}",
        )
        picture.figure.update_traces(textfont={"size": 11})
        figures.show(picture, key="c3_map_points")
        text.show(
            "lab_map_says",
            moment=moment,
            kept=projection.kept,
            width=table.shape[1],
            near=embedding_table.neighbors_kept(table),
            together=_same_group_fraction(table, groups),
        )
        initial = tables.get("initialization")
        if initial is not None:
            initial_cosine = float(embedding_table.cosines(initial[ids[:1]], initial[ids[1:2]]))
            trained_cosine = float(
                embedding_table.cosines(tables["trained"][ids[:1]], tables["trained"][ids[1:2]])
            )
            first, second = (word for word, _ in groups["nobles"][:2])
            lab.predict(
                "c3_map",
                text.read("lab_map_predict", one=first, two=second),
                (
                    text.read("lab_map_predict_near"),
                    text.read("lab_map_predict_chance"),
                    text.read("lab_map_predict_same"),
                ),
                right=1 if abs(initial_cosine) < 0.35 else 0,
                because=text.read("lab_map_predict_because", birth=initial_cosine, now=trained_cosine),
                then={"c3_map_at": "initialization"},
            )


def _same_group_fraction(table, groups) -> float:
    """The fraction of words whose nearest word in the full embedding is in their own group."""
    kinds = [group for group, listed in groups.items() for _ in listed]
    near = embedding_table.cosines(table, table).fill_diagonal_(-2.0).argmax(1).tolist()
    return sum(kinds[index] == kinds[other] for index, other in enumerate(near)) / len(kinds)
