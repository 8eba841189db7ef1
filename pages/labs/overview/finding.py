"""The labs of chapter 0."""

import math
from dataclasses import dataclass

import streamlit as st

from gptcore.resources import cores_for_training
from gptcore.runs.request import RunRequest
from pages.kit import (
    book,
    chips,
    controls,
    event_log,
    forward,
    initialization,
    lab,
    links,
    live,
    models,
    prompt,
    replay,
    session,
    story_data,
    words,
)
from pages.kit.chips import visible
from pages.kit.models import ModelHandle, Snapshot
from pages.kit.pronoun_story import PronounStory, pronoun_story, storyteller
from pages.kit.worked_example import Steps

LONGEST_TABLE = 7  # words in the longest sequences that are counted for comparison
STORY_TOKENS = 90

SECONDS = ("0", "5", "20", "60", "full")
FULL = "full"
NEAR = 0.5  # a snapshot farther from the slider's seconds than this share of them is not offered for them
HERE_SECONDS = 60
HERE_SEED = 1

FIRST_PROMPT = "Once upon a time"
# From outside the world of the stories, to see what the model makes of it.
STRANGE = ("The king opened his laptop and", "Photosynthesis is")
EXAMPLES = {
    "a place": "In front of her door stood a",
    "a beginning": "Once upon a time",
    "a name to remember": "Once there was a queen named Mira who",
}
N_CANDIDATES = 10
END = "<|endoftext|>"


def prompts() -> tuple[str, ...]:
    """Prompts to click on: three from the story world, and what it never heard of."""
    from gptcore.stories.writer import PROMPTS

    return (FIRST_PROMPT, PROMPTS[0], PROMPTS[7], *STRANGE)


@dataclass(frozen=True, slots=True)
class Moment:
    """The model at one moment of its training; `option` is what the slider says."""

    option: str
    seconds: float | None
    step: int | None
    handle: ModelHandle


def moments(model: ModelHandle) -> list[Moment]:
    """The snapshots near the seconds of the slider, each once, and the finished model."""
    kept = models.snapshots(model)
    found: list[Moment] = []
    for option in SECONDS[:-1]:
        if not kept:
            break
        nearest: Snapshot = min(kept, key=lambda one: abs(one.seconds - float(option)))
        far = abs(nearest.seconds - float(option)) > NEAR * float(option) and nearest.step > 0
        # Looking at the untrained model takes time too, so step 0 is the one of 0 seconds and of no others.
        far = far or (nearest.step > 0) != (float(option) > 0)
        if not far and all(nearest.handle != moment.handle for moment in found):
            found.append(
                Moment(option, nearest.seconds if nearest.step else 0.0, nearest.step, nearest.handle)
            )
    past = event_log.read(model.path)
    seconds = past.seconds[-1] if past.seconds else None
    step = past.last_step if past.steps else None
    return [*found, Moment(FULL, seconds, step, model)]


@st.fragment
def first_ten_seconds() -> None:
    """A story writes itself; the name in it and the seconds of training can be changed."""
    text = words.load("00_overview")
    model = storyteller()
    choices = {moment.option: moment for moment in moments(model)}
    story = pronoun_story()
    # The controls stand below the story and are made before it, so that it follows a link from the start.
    above = st.container()
    left, right = st.columns(2, gap="large")
    with left:
        links.check("c0_name", links.Choice(story.names))
        name = st.segmented_control(
            text.read("name_label"),
            story.names,
            default=story.names[1],
            required=True,
            key="c0_name",
            bind="query-params",
        )
    with right:
        options = list(choices)
        if st.session_state.get("c0_seconds", FULL) not in options:
            del st.session_state["c0_seconds"]  # chosen while another model was in use
        links.check("c0_seconds", links.Choice(options))
        option = st.select_slider(
            text.read("seconds_label"), options, FULL, key="c0_seconds", bind="query-params"
        )
    moment = choices[option]
    steps = forward.continuation(moment.handle, story.told_with(name), STORY_TOKENS)
    duel = []
    for one in story.names:
        shares = forward.next_token_probabilities(moment.handle, story.told_with(one), story.pronouns)
        duel.append(replay.Duel(one, list(zip(story.pronouns, shares)), one == name))
    with above:
        replay.story(
            (story.before, name, story.after),
            [replay.Written(token, shown(top)) for token, top in steps],
            key="c0_story",
            play=f"{model.name} {moment.option} {name}",
            title=text.read("bars_title"),
            swap=text.read("swap"),
            on_swap=_swap,
            duel=duel,
            duel_title=text.read("duel_title", distance=story.words_back),
        )
    verdict(duel, story, text)
    st.markdown(numbers_line(model, moment, text))


def shown(top: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Tokens as they are drawn: the end of a text is no word."""
    return [("(end)" if token == END else token, p) for token, p in top]


def _swap() -> None:
    first, second = pronoun_story().names
    st.session_state["c0_name"] = first if st.session_state.get("c0_name", second) == second else second


def verdict(duel: list[replay.Duel], story: PronounStory, text: words.Words) -> None:
    """Say whether the pronoun follows the name, as measured just now."""
    (him, his), (her, hers) = ((one.name, dict(one.shares)) for one in duel)
    he, she = story.pronouns
    follows = his[he] > his[she] and hers[she] > hers[he]
    moved = abs(his[he] - hers[he]) + abs(his[she] - hers[she])
    distance, table = story.words_back, LONGEST_TABLE
    if follows:
        text.show("follows", him=him, her=her, distance=distance, table=table, before=table - 1)
    elif moved > 0.05:
        text.show("follows_half", moved=moved, him=him, her=her)
    else:
        text.show("blind", him=him, her=her, moved=moved)


def numbers_line(model: ModelHandle, moment: Moment, text: words.Words) -> str:
    """Weights, training and worth of the model at this moment, from the events of its run."""
    from gptcore.account import n_parameters

    past = event_log.read(model.path)
    line = [text.read("weights", millions=n_parameters(model.config) / 1e6)]
    if past.start and moment.step is not None:
        threads = past.start.get("threads", 1)
        line.append(
            text.read(
                "trained",
                time=live.duration(moment.seconds or 0),
                threads=threads,
                s="" if threads == 1 else "s",
            )
        )
    scored = [sample for sample in past.samples if sample.get("ladder") and moment.step is not None]
    if scored:
        sample = min(scored, key=lambda one: abs(one["step"] - moment.step))
        line.append(
            text.read("worth", new=100 * sample["ladder"]["new"], sentences=sample["ladder"]["sentences"])
        )
        if tables := story_data.table_scores():
            line.append(text.read("tables", best=100 * max(scores["new"] for scores in tables.values())))
    return " ".join(line)


def train_here() -> None:
    """The button that starts a run, the run while it learns, and what it offers at its end."""
    text = words.load("00_overview")
    run = session.run_on_view()
    alive = run is not None and session.is_under_way(run)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.button(
            text.read("train_button"),
            key="c0_train",
            type="primary",
            icon=":material/play_arrow:",
            disabled=alive,
            help=text.read("train_help", seconds=HERE_SECONDS),
            on_click=_start,
        )
        doors(text)
    if problem := st.session_state.get("c0_problem"):
        st.error(problem, icon=":material/error:")
    if run is None:
        return
    live.brief(run, "c0")
    if not alive and session.has_model(run):
        in_use = st.session_state.get(session.MODEL_KEY) == run.id
        st.button(
            text.read("in_use") if in_use else text.read("use"),
            key="c0_use",
            icon=":material/check:" if in_use else ":material/swap_horiz:",
            disabled=in_use,
            on_click=session.use_model,
            args=(run.id,),
        )


def doors(text: words.Words) -> None:
    """Three ways on from here, with the minutes their words take to read."""
    rows = {row.url: row for row in book.TABLE}
    st.page_link(
        book.page_of(rows["inference"]),
        label=text.read("door_show", minutes=words.minutes(rows["inference"].words)),
        icon=":material/bolt:",
    )
    st.markdown(text.read("door_teach", minutes=words.minutes(rows["overview"].words)))
    st.page_link(
        book.page_of(rows["training"]),
        label=text.read("door_weigh", minutes=words.minutes(rows["training"].words)),
        icon=":material/tune:",
    )


def _start() -> None:
    try:
        session.start_run(
            RunRequest(seconds=HERE_SECONDS, seed=HERE_SEED, settings={"threads": cores_for_training()})
        )
        st.session_state["c0_problem"] = None
    except (ValueError, OSError) as error:
        st.session_state["c0_problem"] = str(error)


@st.fragment
def one_prediction() -> None:
    """One next-word prediction in seven stages, with the shapes of the tensors that were computed."""
    from gptcore.tracing import trace

    text = words.load("00_overview")
    model = session.model_in_use()
    example = EXAMPLES[controls.choice(text.read("example_label"), "c0_example", list(EXAMPLES))]
    ids = model.tokenizer.encode(example)
    chips.strip(
        prompt.token_chips(example, model.tokenizer),
        key="c0_example_pieces",
        label="The tokens of the example",
    )
    seen = trace(model.model, ids)
    best = forward.continuation(model, example, 1, n_alternatives=N_CANDIDATES)[0][1]
    top = [(model.tokenizer.encode(token), token, p) for token, p in best if token != END]
    top = [(found[0], token, p) for found, token, p in top if len(found) == 1][:4]
    logits = seen["logits"][0, -1]
    config = model.config
    steps = Steps(9)
    if steps(text.read("example_text_title")):
        text.show("example_text", example=example, characters=len(example))
    if steps(text.read("example_tokens_title")):
        text.show(
            "example_tokens", n_tokens=len(ids), vocabulary=config.vocab_size, ids=", ".join(map(str, ids))
        )
    if steps(text.read("example_embedding_title")):
        first = ", ".join(f"{value:.2f}" for value in seen["embedding"][0, 0, :3].tolist())
        text.show("example_embedding", embedding=shape(seen["embedding"]), first=first)
    if steps(text.read("example_blocks_title")):
        text.show(
            "example_blocks",
            n_layers=config.n_layers,
            n_heads=config.n_heads,
            weights=shape(seen["layers.0.attention.weights"]),
            inner=shape(seen["layers.0.feedforward.hidden"]),
            stream=shape(seen[f"layers.{config.n_layers - 1}.after_feedforward"]),
        )
    if steps(text.read("example_norm_title")):
        text.show("example_norm", final=shape(seen["final_normed"]))
    if steps(text.read("example_scores_title")):
        text.show(
            "example_scores",
            vocabulary=config.vocab_size,
            logits=shape(seen["logits"]),
            token=visible(top[0][1]),
            score=float(logits[top[0][0]]),
        )
    if steps(text.read("example_shares_title")):
        text.show("example_shares", vocabulary=config.vocab_size, token=visible(top[0][1]), p=top[0][2])
    scores = [(visible(token), round(float(logits[number]), 1)) for number, token, _ in top]
    by_hand(scores, example, text, steps)


def shape(tensor) -> str:
    """The shape of one sequence's tensor, its batch of one left out."""
    sizes = tuple(tensor.shape)[1:]
    return " × ".join(map(str, sizes))


def by_hand(scores: list[tuple[str, float]], example: str, text: words.Words, steps: Steps) -> None:
    """Softmax of four scores and the surprise at one word, with the numbers put in."""
    import torch

    from gptcore.generation.sampling import Sampling, distribution

    if not steps(text.read("example_softmax_title")):
        return
    text.show("example_softmax", vocabulary=session.model_in_use().model.config.vocab_size)
    names = [name for name, _ in scores]
    place = list(EXAMPLES.values()).index(example)
    left, right = st.columns(2, gap="large")
    with left:
        logits = prompt.number_column(
            f"c0_logits_{place}",
            names,
            [score for _, score in scores],
            column="score",
            note="token",
            low=-20.0,
            high=40.0,
            step=0.1,
        )
        key = f"c0_came_{place}"
        if st.session_state.get(key, names[0]) not in names:
            del st.session_state[key]  # chosen while another model was in use
        came = names.index(controls.choice(text.read("example_came"), key, names))
    probabilities = distribution(torch.tensor(logits), Sampling()).tolist()
    with right:
        replay.pick(
            [replay.Candidate(name, p) for name, p in zip(names, probabilities, strict=True)],
            key="c0_four",
            label="Probabilities of the four tokens",
        )
    name = names[came].replace("␣", "")
    terms = " + ".join(f"e^{{{value:g}}}" for value in logits)
    st.latex(
        rf"p(\text{{{_plain(name)}}}) = \frac{{e^{{{logits[came]:g}}}}}{{{terms}}} = {probabilities[came]:.3f}"
    )
    if not steps(text.read("example_surprise_title")):
        return
    surprise = -math.log(max(probabilities[came], 1e-300))
    st.latex(rf"-\ln {probabilities[came]:.3f} = {surprise:.3f}\ \text{{nats}}")
    text.show("example_surprise", name=names[came], nats=surprise, sides=math.exp(min(surprise, 700)))


def _plain(name: str) -> str:
    """A token as LaTeX text: what has a meaning there becomes a space."""
    return "".join(c if c.isalnum() or c in ".,;:?!'" else " " for c in name)


@st.fragment
def continuations() -> None:
    """Type a prompt, see what the trained and the untrained model expect, append a token by clicking."""
    text = words.load("00_overview")
    with lab.frame("c0_next", text.read("lab_next_title")):
        text.show("lab_next")
        _continuations(text)


def _continuations(text: words.Words) -> None:
    model = session.model_in_use()
    typed = prompt.text_input(text.read("prompt_label"), "c0_prompt", FIRST_PROMPT, prompts())
    known = story_word if model.learned_from_stories() else None
    strip = prompt.token_chips(typed, model.tokenizer, known)
    chips.strip(strip, key="c0_pieces", label="The tokens of the prompt")
    what_it_read(model, any(chip.kind == "unknown" for chip in strip), text)
    ids = model.tokenizer.encode(typed) or [model.tokenizer.eot_id]
    from gptcore.generation.sampling import generate

    try:
        trained = next(generate(model.model, ids, 1, temperature=0.0, n_alternatives=N_CANDIDATES))
        born = next(
            generate(
                initialization.untrained(model.config), ids, 1, temperature=0.0, n_alternatives=N_CANDIDATES
            )
        )
    except ValueError as error:
        st.error(f"{error}.", icon=":material/error:")
        return
    left, right = st.columns(2, gap="large")
    for column, title, step, key in (
        (left, "bars_trained", trained, "c0_trained"),
        (right, "bars_untrained", born, "c0_untrained"),
    ):
        with column:
            st.markdown(f"**{text.read(title)}**")
            rows = [(model.tokenizer.token_text(i), p) for i, p in step.alternatives]
            tokens = [token for token, _ in rows]
            replay.pick(
                [
                    replay.Candidate(
                        "(end)" if token == END else token, p, token != END and "\\x" not in token
                    )
                    for token, p in rows
                ],
                key=key,
                label=text.read(title),
                hint=text.read("pick_hint"),
                on_pick=lambda place, tokens=tokens: _append(tokens[place]),
            )
    follow = forward.continuation(model, typed, 24)
    st.markdown(f"**{text.read('follow')}**")
    st.text(typed + "".join(token for token, _ in follow))
    with st.container(horizontal=True):
        st.button(
            text.read("take_back"),
            key="c0_back",
            icon=":material/undo:",
            on_click=_take_back,
            disabled=not typed,
        )
    _ask(text, model, typed, trained)


def _ask(text: words.Words, model: ModelHandle, typed: str, trained) -> None:
    """Predict what becomes of the story once its fifth choice is put in."""
    place = 4
    if len(trained.alternatives) <= place or len(typed) > links.LONGEST:
        return
    token = model.tokenizer.token_text(trained.alternatives[place][0])
    if token == END or "\\x" in token:
        return
    before, after = (
        "".join(piece for piece, _ in forward.continuation(model, start, 12))
        for start in (typed, typed + token)
    )
    lab.predict(
        "c0_next",
        text.read(
            "lab_next_predict", token=visible(token), place=place + 1, p=trained.alternatives[place][1]
        ),
        (text.read("lab_next_predict_back"), text.read("lab_next_predict_along")),
        right=0 if after and before.endswith(after[: len(before) // 2]) else 1,
        because=text.read("lab_next_because", before=before.strip(), after=(token + after).strip()),
        then={"c0_prompt": typed + token},
    )


def _append(token: str) -> None:
    st.session_state["c0_prompt"] = st.session_state.get("c0_prompt", FIRST_PROMPT) + token


def _take_back() -> None:
    tokenizer = session.model_in_use().tokenizer
    ids = tokenizer.encode(st.session_state["c0_prompt"])
    st.session_state["c0_prompt"] = tokenizer.decode(ids[:-1])


def story_word(word: str) -> bool:
    """Whether the story world has this word."""
    from gptcore.stories.parser import word_known

    return word_known(word)


def what_it_read(model: ModelHandle, strange: bool, text: words.Words) -> None:
    """One sentence on what the model has read, and on the hatched pieces if there are any."""
    past = event_log.read(model.path)
    if not model.learned_from_stories():
        text.show("read_other", label=session.model_label(model))
    elif strange:
        text.show("read_strange")
    elif past.start:
        text.show("read_stories", tokens=past.tokens)
    else:
        text.show("read_only_stories")
