"""Chapter 0: the diagram, and the labs on what a model knows, when it knows it, and what it does not."""

import math

import streamlit as st

from pages.kit import (
    chips,
    controls,
    diagram,
    dim_colors,
    event_log,
    figures,
    forward,
    lab,
    models,
    plots,
    session,
    words,
)
from pages.kit.controls import Dial
from pages.kit.pronoun_story import storyteller
from pages.labs.overview import cached
from pages.labs.overview.finding import Moment, moments

OUTSIDE = (
    "The king opened his laptop and",
    "Photosynthesis is the process by which",
    "The capital of France is",
    "Two plus two is",
    "The engine of the car was",
)
INSIDE = ("Once upon a time", "In front of her door stood a", "Once there was a queen named Mira who")
NAME = " Mira"
TOLD = "Once there was a queen named Mira who lived in a castle. "
ASKED = '"Thank you," said'
GRAMMAR = 0.5  # of its sentences: from here on it can be said to have some
FRESH = 950_000  # seeds of stories that no run has read
WORDS_BEFORE = 14


@st.fragment
def flow() -> None:
    """The whole model as a chart, with the sizes of the model in use."""
    text = words.load("00_overview")
    config = session.model_in_use().model.config
    dial = Dial("", 1, config.context_length, 1, "How long the text is.")
    tokens = controls.whole(text.read("diagram_tokens"), "c0_flow_t", dial, 6)
    text.show("diagram", tokens=tokens)
    sizes = dim_colors.sizes_of(config)
    t, c, v = tokens, sizes["C"], sizes["V"]
    node, edge = diagram.Node, diagram.Edge
    same = ", the same table" if config.tie_embeddings else ""
    turns = ", which turns queries by position" if config.position == "rope" else ""
    nodes = [
        node("text", "text", "step"),
        node("ids", "token ids", sizes={"T": t}),
        node("table", "embedding table", "weight", {"V": v, "C": c}),
        node("x", "a row a token", sizes={"T": t, "C": c}),
        node("attention", f"attention: look back{turns}", "step"),
        node("feedforward", "feed-forward: each token alone", "step"),
        node("after", f"after block {config.n_layers} of {config.n_layers}", sizes={"T": t, "C": c}),
        node("norm", "final norm", "step"),
        node("output", f"output layer{same}", "weight", {"C": c, "V": v}),
        node("logits", "logits", sizes={"T": t, "V": v}),
        node("softmax", "softmax of the last row", "step"),
        node("shares", "probabilities", sizes={"V": v}),
        node("draw", "draw one token", "step"),
    ]  # fmt: skip
    edges = [
        edge("text", "ids"),
        edge("ids", "table"),
        edge("table", "x"),
        edge("x", "attention"),
        edge("attention", "feedforward", "add to the stream"),
        edge("feedforward", "attention", f"{config.n_layers} blocks in all"),
        edge("feedforward", "after", "add to the stream"),
        edge("after", "norm"),
        edge("norm", "output"),
        edge("output", "logits"),
        edge("logits", "softmax"),
        edge("softmax", "shares"),
        edge("shares", "draw"),
        edge("draw", "ids", "append"),
    ]
    diagram.flowchart(nodes, edges, alt="A language model from text to the next token, and back")


def grammar_at(history, moment: Moment) -> float | None:
    """The share of sentences that were grammatical at the sample nearest to a moment."""
    scored = [sample for sample in history.samples if sample.get("ladder") and moment.step is not None]
    if not scored:
        return None
    return min(scored, key=lambda one: abs(one["step"] - moment.step))["ladder"]["rate"]


@st.fragment
def when_it_knows() -> None:
    """How far the name moves the pronoun, at moments of the training."""
    from gptcore.stories.scores import reference_probe

    text = words.load("00_overview")
    with lab.frame("c0_time", text.read("lab_time_title")):
        text.show("lab_time")
        model, probes = storyteller(), reference_probe()
        which = controls.choice(
            text.read("lab_time_probe"), "c0_time_probe", [str(i + 1) for i in range(len(probes))]
        )
        probe = probes[int(which) - 1]
        him, her = _names(probe)
        found = moments(model)
        history = event_log.read(model.path)
        she = {
            who: [forward.next_token_probabilities(m.handle, told, (probe.female_word,))[0] for m in found]
            for who, told in ((him, probe.male), (her, probe.female))
        }
        names = [_when(moment) for moment in found]
        picture = plots.columns(
            names,
            {f"after {who}": shares for who, shares in she.items()},
            y_title=text.read("lab_time_chart"),
            form=".0%",
            height=270,
            revision="c0 time",
        )
        picture.figure.update_yaxes(tickformat=".0%", range=[0, 1.2])
        st.plotly_chart(picture.figure, key="c0_time_chart", config=figures.CONFIG, alt=picture.alt)
        moved = [hers - his for his, hers in zip(she[him], she[her])]
        before, after = probe.female.split(her)
        text.show(
            "lab_time_says", before=before.strip(), after=after.strip(), him=him, her=her, moved=moved[-1]
        )
        grammar = [grammar_at(history, moment) for moment in found]
        rows = [
            f"| {name} | {his:.1%} | {hers:.1%} | {'–' if rate is None else format(rate, '.0%')} |"
            for name, his, hers, rate in zip(names, she[him], she[her], grammar)
        ]
        st.markdown(text.read("lab_time_table", him=him, her=her) + "\n" + "\n".join(rows))
        following = probes[int(which) % len(probes)]
        _ask_when(text, found, grammar, following, str(int(which) % len(probes) + 1))


def _names(probe) -> tuple[str, str]:
    """The two names in which the two beginnings of a probe differ."""
    pairs = zip(probe.male.split(), probe.female.split())
    one, other = next(pair for pair in pairs if pair[0] != pair[1])
    return one.strip(".,"), other.strip(".,")


def _when(moment: Moment) -> str:
    return f"{moment.seconds:.0f} s" if moment.seconds is not None else moment.option


def _ask_when(text: words.Words, found: list[Moment], grammar, probe, option: str) -> None:
    """Predict, for the next beginning, how far the name moves the answer when grammar is there first."""
    first = next((i for i, rate in enumerate(grammar) if rate is not None and rate >= GRAMMAR), None)
    if first is None or found[first].seconds is None:
        return
    moment, wanted = found[first], (probe.female_word,)
    hers, his = (
        forward.next_token_probabilities(moment.handle, told, wanted)[0]
        for told in (probe.female, probe.male)
    )
    move = abs(hers - his)
    lab.predict(
        "c0_time",
        text.read("lab_time_predict", option=option, seconds=f"{moment.seconds:.0f}", grammar=grammar[first]),
        (
            text.read("lab_time_predict_none"),
            text.read("lab_time_predict_some"),
            text.read("lab_time_predict_much"),
        ),
        right=0 if move < 0.05 else 1 if move <= 0.5 else 2,
        because=text.read("lab_time_because", moved=move),
        then={"c0_time_probe": option},
    )


def _favourite(model: models.ModelHandle, prompt: str) -> float:
    """The probability of the likeliest token after a prompt."""
    return forward.continuation(model, prompt, 1)[0][1][0][1]


@st.fragment
def outside() -> None:
    """Prompts from outside its world: what it says, and how sure it is."""
    text = words.load("00_overview")
    with lab.frame("c0_out", text.read("lab_outside_title")):
        text.show("lab_outside")
        model = storyteller()
        prompt = controls.listed(text.read("lab_outside_prompt"), "c0_out_prompt", OUTSIDE)
        sure = {one: _favourite(model, one) for one in (*OUTSIDE, *INSIDE)}
        follow = forward.continuation(model, prompt, 12)
        picture = plots.columns(
            [one if len(one) < 24 else one[:22] + " …" for one in sure],
            {"favourite": list(sure.values())},
            y_title=text.read("lab_outside_chart"),
            form=".0%",
            height=330,
            revision="c0 outside",
        )
        colours = [figures.ORANGE if one in OUTSIDE else figures.BLUE for one in sure]
        picture.figure.update_traces(marker={"color": colours})
        picture.figure.update_yaxes(tickformat=".0%", range=[0, 1.15])
        st.plotly_chart(picture.figure, key="c0_out_bars", config=figures.CONFIG, alt=picture.alt)
        text.show(
            "lab_outside_says",
            follow="".join(piece for piece, _ in follow).strip(),
            p=sure[prompt],
            outside=sum(sure[one] for one in OUTSIDE) / len(OUTSIDE),
            inside=sum(sure[one] for one in INSIDE) / len(INSIDE),
        )
        place = OUTSIDE.index(prompt)
        first, second = OUTSIDE[(place + 1) % len(OUTSIDE)], INSIDE[place % len(INSIDE)]
        lab.predict(
            "c0_out",
            text.read("lab_outside_predict", first=first, second=second),
            (first, second),
            right=0 if sure[first] >= sure[second] else 1,
            because=text.read(
                "lab_outside_because", first=first, second=second, p_first=sure[first], p_second=sure[second]
            ),
            then={"c0_out_prompt": first},
        )


@st.fragment
def chat() -> None:
    """Told a name in the text it knows it; in a new text it does not."""
    text = words.load("00_overview")
    text.show("lab_chat", told=TOLD.strip(), asked=ASKED)
    model = storyteller()
    dial = Dial("", 0, 4, 1, text.read("lab_chat_help"))
    times = controls.whole(text.read("lab_chat_times"), "c0_chat_times", dial, 1)

    def asked(n: int) -> float:
        return forward.next_token_probabilities(model, TOLD * n + ASKED, (NAME,))[0]

    inside, before = asked(times), asked(0)
    fresh = asked(0)
    picture = plots.columns(
        ["before", f"same text, told {times} times", "new text"],
        {NAME: [before, inside, fresh]},
        y_title=text.read("lab_chat_chart", name=NAME.strip()),
        form=".1%",
        height=260,
        revision="c0 chat",
    )
    st.plotly_chart(picture.figure, key="c0_chat_bars", config=figures.CONFIG, alt=picture.alt)
    text.show("lab_chat_says", times=times, name=NAME.strip(), inside=inside, fresh=fresh, before=before)


@st.fragment
def be_the_model() -> None:
    """Bet on the next word of a story, and pay in nats beside the model, a table and a blind guess."""
    from gptcore.stories.writer import write_story

    text = words.load("00_overview")
    text.show("lab_guess")
    model = storyteller()
    dial = Dial("", 1, 20, 1, text.read("lab_guess_which_help"))
    which = controls.whole(text.read("lab_guess_which"), "c0_guess_story", dial, 1)
    pieces = write_story(FRESH + which).text.split(" ")
    place = WORDS_BEFORE + which % 5
    told, came = " ".join(pieces[:place]), pieces[place].strip('.,?!"')
    chips.strip(
        [chips.Chip(piece) for piece in pieces[:place]], key="c0_guess_text", label="The story so far"
    )
    top = forward.continuation(model, told, 1)[0][1]
    offered = sorted(
        {chips.visible(token).strip("␣") for token, _ in top if token.strip().isalpha()} | {came}
    )
    left, right = st.columns(2, gap="large")
    with left:
        bet = controls.listed(text.read("lab_guess_word"), "c0_guess_word", offered)
    with right:
        sure = controls.decimal(
            text.read("lab_guess_sure"), "c0_guess_p", 0.05, 0.95, 0.5, 0.05, text.read("lab_guess_sure_help")
        )
    if not controls.switch(text.read("lab_guess_show"), "c0_guess_show"):
        return
    vocabulary = model.config.vocab_size
    mine = sure if bet == came else (1 - sure) / (vocabulary - 1)
    piece = model.tokenizer.token_text(model.tokenizer.encode(" " + came)[0])
    theirs = forward.next_token_probabilities(model, told, (piece,))[0]
    counted = cached.following_words(pieces[place - 1].strip('.,?!"')).get(came, 0.0)
    never = text.read("lab_guess_never")
    text.show(
        "lab_guess_says",
        word=came,
        you=-math.log(mine),
        model=-math.log(max(theirs, 1e-12)),
        table=f"{-math.log(counted):.2f}" if counted else never,
        uniform=math.log(vocabulary),
        vocabulary=vocabulary,
    )
