"""Predict what the model says without the head that attends to the name."""

from gptcore.interpret.ablation import Ablation
from pages.kit import chips, lab, models, words
from pages.kit.name_head import find_name_head
from pages.kit.pronoun_story import pronoun_story, storyteller
from pages.labs.journey import cached


def predict_without_head(model: models.ModelHandle, typed: str, text: words.Words) -> None:
    """Predict the next token once the head that attends to the name is turned off."""
    story = pronoun_story()
    if storyteller().name != model.name or typed != story.text:
        return
    best = find_name_head(model, story)
    silent = Ablation(part="head", layer=best.layer, head=best.head)
    ablated = cached.journey(model, typed, silent, None, "moved")
    (after, p_after), (before, p_before) = ablated.says, ablated.said
    other, own = story.pronouns
    lab.predict(
        "j_silence",
        text.read("predict", layer=best.layer + 1, head=best.head + 1, name=story.name, weight=best.weight),
        (
            text.read("predict_same", word=chips.in_sentence(own)),
            text.read("predict_other", word=chips.in_sentence(other)),
            text.read("predict_third"),
        ),
        right={own: 0, other: 1}.get(after, 2),
        because=text.read(
            "predict_because",
            after=chips.in_sentence(after),
            p_after=p_after,
            before=chips.in_sentence(before),
            p_before=p_before,
        ),
        then={
            "j_view": "pass",
            "j_what": "head",
            "j_layer": str(best.layer + 1),
            "j_head": str(best.head + 1),
        },
    )
