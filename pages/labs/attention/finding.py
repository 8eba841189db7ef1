"""Chapter 5: a head that attends far back to a name, and what the model predicts without it."""

import streamlit as st

from pages.kit import chips, figures, forward, plots, session, words
from pages.kit.name_head import find_name_head, probabilities_of, shaded_tokens
from pages.kit.pronoun_story import pronoun_story, storyteller

CLEAR = 0.25  # a smaller fall in probability is not reported as an effect of the head


def finding() -> None:
    """The opening figure: a head that attends far back to the name, and the prediction without it."""
    text = words.load("05_attention")
    model, story = storyteller(), pronoun_story()
    session.caption_other_model(model)
    head = find_name_head(model, story)
    config = model.config
    traced = forward.traced(model, story.text)
    row = traced.seen[f"layers.{head.layer}.attention.weights"][0, head.head, -1].tolist()
    wrong, right = story.pronouns
    before = probabilities_of(model, story.text, (right, wrong), None)
    after = probabilities_of(model, story.text, (right, wrong), (head.layer, head.head))
    text.show(
        "finding",
        sentence=story.text,
        n_heads=config.n_layers * config.n_heads,
        layer=head.layer + 1,
        head=head.head + 1,
        share=head.weight,
        name=story.name,
        words_back=story.words_back,
    )
    chips.strip(
        shaded_tokens(traced.tokens, row, len(row) - 1),
        key="c5_finding_tokens",
        label=f"Where layer {head.layer + 1}, head {head.head + 1} attends from the last token",
    )
    picture = plots.columns(
        ("with all heads", f"without layer {head.layer + 1}, head {head.head + 1}"),
        {right.strip(): [before[0], after[0]], wrong.strip(): [before[1], after[1]]},
        y_title=text.read("finding_chart"),
        form=".0%",
        height=220,
        revision="finding",
    )
    picture.figure.update_yaxes(tickformat=".0%", range=[0, 1.2])
    left, side = st.columns([3, 2], gap="large", vertical_alignment="center")
    with left:
        figures.show(picture, key="c5_finding")
    with side:
        if before[0] - after[0] > CLEAR:
            text.show(
                "finding_off",
                right=right.strip(),
                before=before[0],
                after=after[0],
                others=config.n_layers * config.n_heads - 1,
                name=story.name,
                other=story.other_name,
            )
        else:
            text.show("finding_weak", right=right.strip(), before=before[0], after=after[0])
