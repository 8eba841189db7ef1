"""Chapter 0: one prediction in seven stages, and softmax by hand."""

import math

import streamlit as st
import torch

from gptcore.generation.sampling import Sampling, distribution
from gptcore.tokenizer import EOT
from gptcore.tracing import trace
from pages.kit import (
    chips,
    controls,
    escape,
    forward,
    prompt,
    replay,
    session,
    words,
)
from pages.kit.chips import visible
from pages.kit.worked_example import Steps

EXAMPLES = {
    "a place": "In front of her door stood a",
    "a beginning": "Once upon a time",
    "a name to remember": "Once there was a queen named Mira who",
}
N_CANDIDATES = 10


@st.fragment
def one_prediction() -> None:
    """One next-token prediction in seven stages, with the shapes of the computed tensors."""
    text = words.load("00_overview")
    model = session.model_in_use()
    example = EXAMPLES[controls.choice(text.read("example_label"), "c0_example", list(EXAMPLES))]
    ids = model.tokenizer.encode(example)
    chips.strip(
        prompt.token_chips(example, model.tokenizer),
        key="c0_example_pieces",
        label="The tokens of the example",
    )
    try:
        traced = trace(model.model, ids)
    except ValueError as error:  # the example is longer than the model's context
        st.error(
            escape.sentence(f"{error}; choose a shorter example or another model."), icon=":material/error:"
        )
        return
    best = forward.continuation(model, example, 1, n_alternatives=N_CANDIDATES)[0][1]
    encode = model.tokenizer.encode
    top = [(encode(token), token, p) for token, p in best if token != EOT]
    top = [(token_ids[0], token, p) for token_ids, token, p in top if len(token_ids) == 1][:4]
    logits = traced["logits"][0, -1]
    config = model.config
    with Steps(9, key="c0_steps") as steps:
        if steps(text.read("example_text_title")):
            text.show("example_text", example=example, characters=len(example))
        if steps(text.read("example_tokens_title")):
            text.show(
                "example_tokens",
                n_tokens=len(ids),
                vocabulary=config.vocab_size,
                ids=", ".join(map(str, ids)),
            )
        if steps(text.read("example_embedding_title")):
            first = ", ".join(f"{value:.2f}" for value in traced["embedding"][0, 0, :3].tolist())
            text.show("example_embedding", embedding=tensor_shape(traced["embedding"]), first=first)
        if steps(text.read("example_blocks_title")):
            text.show(
                "example_blocks",
                n_layers=config.n_layers,
                n_heads=config.n_heads,
                weights=tensor_shape(traced["layers.0.attention.weights"]),
                inner=tensor_shape(traced["layers.0.feedforward.hidden"]),
                stream=tensor_shape(traced[f"layers.{config.n_layers - 1}.after_feedforward"]),
            )
        if steps(text.read("example_norm_title")):
            text.show("example_norm", final=tensor_shape(traced["final_normed"]))
        if steps(text.read("example_scores_title")):
            text.show(
                "example_scores",
                vocabulary=config.vocab_size,
                logits=tensor_shape(traced["logits"]),
                token=visible(top[0][1]),
                score=float(logits[top[0][0]]),
            )
        if steps(text.read("example_shares_title")):
            text.show("example_shares", vocabulary=config.vocab_size, token=visible(top[0][1]), p=top[0][2])
        scores = [(visible(token), round(float(logits[token_id]), 1)) for token_id, token, _ in top]
        softmax_by_hand(scores, example, text, steps)


def tensor_shape(tensor) -> str:
    """The shape of one sequence's tensor, its batch of one left out."""
    sizes = tuple(tensor.shape)[1:]
    return " × ".join(map(str, sizes))


def softmax_by_hand(scores: list[tuple[str, float]], example: str, text: words.Words, steps: Steps) -> None:
    """Softmax of four logits and the loss of one token, with the numbers filled in."""
    if not steps(text.read("example_softmax_title")):
        return
    text.show("example_softmax", vocabulary=session.model_in_use().config.vocab_size)
    names = [name for name, _ in scores]
    example_number = list(EXAMPLES.values()).index(example)
    left, right = st.columns(2, gap="large")
    with left:
        logits = prompt.number_column(
            f"c0_logits_{example_number}",
            names,
            [score for _, score in scores],
            column="score",
            note="token",
            low=-20.0,
            high=40.0,
        )
        key = f"c0_came_{example_number}"
        if st.session_state.get(key, names[0]) not in names:
            del st.session_state[key]  # chosen while another model was in use
        # From a list, whose options show as text: a segmented control would read a token as Markdown.
        actual = names.index(controls.dropdown(text.read("example_came"), key, names))
    probabilities = distribution(torch.tensor(logits), Sampling()).tolist()
    with right:
        replay.pick(
            [replay.Candidate(name, p) for name, p in zip(names, probabilities, strict=True)],
            key="c0_four",
            label="Probabilities of the four tokens",
        )
    name = names[actual].replace("␣", "")
    terms = " + ".join(f"e^{{{value:g}}}" for value in logits)
    st.latex(
        rf"p(\text{{{_plain(name)}}}) = \frac{{e^{{{logits[actual]:g}}}}}{{{terms}}} = {probabilities[actual]:.3f}"
    )
    if not steps(text.read("example_surprise_title")):
        return
    loss = -math.log(max(probabilities[actual], 1e-300))
    st.latex(rf"-\ln {probabilities[actual]:.3f} = {loss:.3f}\ \text{{nats}}")
    text.show("example_surprise", name=names[actual], nats=loss, sides=math.exp(min(loss, 700)))


def _plain(name: str) -> str:
    """A token as LaTeX text: characters with a meaning in LaTeX become spaces."""
    return "".join(c if c.isalnum() or c in ".,;:?!'" else " " for c in name)
