"""Chapter 11: the terms of the book, each with a short definition and a picture drawn when it is opened."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from explainers.library import explainer
from pages.kit import book, chips, controls, figures, lab, links, search, session, words
from pages.kit.controls import Dial
from pages.kit.renamed_values import RENAMED
from pages.labs.glossary import pictures

_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """One term: its section of the text, its name, its chapter, and the function that draws its picture.

    With a dial, `draw` takes the dial's value; `start` is the initial value.
    """

    section: str
    name: str
    group: str
    chapter: int
    draw: Callable
    topic: str = ""  # of an explainer
    dial: Dial | None = None
    start: int = 0


def _terms(group: str, chapter: int, *rows: tuple) -> list[Term]:
    """The terms of one group, from rows of section, name, picture, and optionally topic, dial, initial value."""
    terms_of_group = []
    for section, name, draw, *more in rows:
        topic, dial, start = [*more, *("", None, 0)[len(more) :]]
        terms_of_group.append(
            Term(
                section=section,
                name=name,
                group=group,
                chapter=chapter,
                draw=draw,
                topic=topic,
                dial=dial,
                start=start,
            )
        )
    return terms_of_group


def _dial(label: str, low: int, high: int, step: int = 1) -> Dial:
    return Dial(label, low, high, step, "The picture updates when you move the slider.")


BPE = "byte-pair-encoding"
ATTENTION = "attention-step-by-step"
LOSS = "cross-entropy-and-perplexity"
RATE = "warm-up-cosine-clipping"
CHAT = "from-base-model-to-assistant"

TERMS: tuple[Term, ...] = (
    *_terms(
        "Text", 2,
        ("token", "token", pictures.text.tokens, BPE),
        ("byte", "byte", pictures.text.character_bytes, BPE),
        ("pre_token", "pre-token", pictures.text.pre_tokens, BPE),
        ("bpe", "byte-pair encoding", pictures.text.merges, BPE, _dial("Merges", 0, 6), 2),
        ("vocabulary", "vocabulary", pictures.text.token_lengths, BPE),
        ("end_of_text", "end of text", pictures.text.end_of_text),
        ("corpus", "corpus", pictures.text.story, "", _dial("Story", 0, 20), 3),
        ("window", "window", pictures.text.batch_windows, "", _dial("Batch", 1, 8), 1),
        ("context", "context", pictures.text.pairs_in_context, "how-context-is-used"),
    ),
    *_terms(
        "Vectors", 3,
        ("embedding", "embedding", pictures.vectors.embedding_rows, "embeddings"),
        ("cosine", "cosine similarity", pictures.vectors.cosines, "embeddings"),
        ("tying", "weight tying", pictures.vectors.tying, "weight-tying"),
        ("stream", "residual stream", pictures.vectors.residual_stream, "residual-connections"),
        ("logit", "logit", pictures.vectors.best_logits),
    ),
    *_terms(
        "Positions", 4,
        ("position", "position", pictures.positions.score_by_distance, "rotary-embeddings"),
        ("rope", "RoPE", pictures.positions.rotation_angles, "rotary-embeddings", _dial("Position", 0, 64), 3),
        ("base", "base of RoPE", pictures.positions.wavelengths, "rotary-embeddings"),
        ("sinusoidal", "sinusoidal positions", pictures.positions.sinusoids),
        ("learned_positions", "learned positions", pictures.positions.learned_position_parameters),
        ("context_extension", "context extension", pictures.positions.scaled_frequencies, "rotary-embeddings"),
    ),
    *_terms(
        "Attention", 5,
        ("attention", "attention", pictures.attention.attention_by_layer, ATTENTION, _dial("Layer", 1, 4), 2),
        ("query_key_value", "query, key, value", pictures.attention.raw_scores, ATTENTION),
        ("score", "attention score", pictures.attention.scaled_scores, ATTENTION),
        ("root_d", "scale 1/√d", pictures.attention.score_deviation, "why-divide-by-root-d"),
        ("softmax", "softmax", pictures.attention.softmax, ATTENTION, _dial("Temperature × 10", 2, 40), 10),
        ("mask", "causal mask", pictures.attention.causal_mask, "causal-masking", _dial("Tokens", 2, 16), 8),
        ("sliding_window", "sliding window", pictures.attention.sliding_window, "causal-masking",
         _dial("Window size", 1, 10), 3),
        ("head", "head", pictures.attention.attention_by_head, ATTENTION, _dial("Head of layer 2", 1, 4), 1),
        ("gqa", "GQA and MQA", pictures.attention.cache_by_heads, "the-kv-cache"),
        ("flash", "flash attention", pictures.attention.score_memory),
        ("induction", "induction head", pictures.attention.induction, "how-context-is-used"),
    ),
    *_terms(
        "The block", 6,
        ("block", "block", pictures.block.residual_update_fractions),
        ("residual", "residual connection", pictures.block.residuals, "residual-connections"),
        ("rmsnorm", "RMSNorm", pictures.block.rmsnorm_of_scaled, "rmsnorm", _dial("Input scale", 1, 10), 1),
        ("layernorm", "LayerNorm", pictures.block.layernorm_of_shifted, "rmsnorm",
         _dial("Input shift", -10, 10), 0),
        ("norm_place", "pre-norm and post-norm", pictures.block.norm_positions, "where-the-norm-goes"),
        ("activation", "activation", pictures.block.activations, "swiglu"),
        ("swiglu", "SwiGLU", pictures.block.swiglu_gate, "swiglu", _dial("Up value × 10", -20, 20), 10),
        ("feedforward", "feed-forward layer", pictures.block.feedforward_fractions, "swiglu"),
    ),
    *_terms(
        "The model", 7,
        ("parameter", "parameter", pictures.model.parameters_of_small),
        ("width", "width, depth, heads", pictures.model.shape_in_use),
        ("flop", "FLOP", pictures.model.forward_flops_by_part, "", _dial("Tokens", 16, 2048, 16), 256),
        ("rule_of_six", "six FLOPs per parameter", pictures.model.six_flops_per_weight, "scaling"),
        ("initialisation", "initialization", pictures.model.initial_losses),
        ("logit_lens", "logit lens", pictures.model.logit_lens),
        ("output_layer", "output layer", pictures.model.output_layer_fractions, "weight-tying"),
        ("scaling_law", "scaling law", pictures.model.scaling_law, "scaling"),
        ("experts", "mixture of experts", pictures.model.experts, "", _dial("Experts per token", 1, 8), 2),
    ),
    *_terms(
        "Training", 8,
        ("loss", "loss", pictures.training.surprise, LOSS),
        ("perplexity", "perplexity", pictures.training.perplexity, LOSS),
        ("entropy", "entropy", pictures.training.coin_entropy, LOSS),
        ("gradient", "gradient", pictures.training.loss_by_weight, "backpropagation-by-hand"),
        ("backpropagation", "backpropagation", pictures.block.backward_gradients, "backpropagation-by-hand"),
        ("hyperparameter", "hyperparameter", pictures.model.shape_of_small),
        ("learning_rate", "learning rate", pictures.training.learning_rates, RATE),
        ("schedule", "warm-up and cosine", pictures.training.schedule, RATE, _dial("Warm-up steps", 0, 200, 10), 40),
        ("adamw", "AdamW", pictures.training.adam_steps, "adamw"),
        ("weight_decay", "weight decay", pictures.training.weight_decay, "adamw", _dial("Decay, percent", 0, 30), 10),
        ("clipping", "gradient clipping", pictures.training.clipped_norm, RATE),
        ("accumulation", "gradient accumulation", pictures.training.tokens_per_step, "",
         _dial("Micro-batches", 1, 16), 4),
        ("validation", "validation loss", pictures.training.shipped_losses, "validation-overfitting-leakage"),
        ("ability", "ability", pictures.training.late_abilities, "why-prediction-gives-abilities"),
        ("checkpoint", "checkpoint", pictures.training.checkpoint_size),
        ("bf16", "bf16", pictures.training.bf16_bits, "", _dial("Number × 10", 1, 100), 31),
        ("data_parallel", "data parallel", pictures.training.tokens_per_process, "", _dial("Processes", 1, 8), 2),
    ),
    *_terms(
        "Inference", 9,
        ("sampling", "sampling", pictures.writing.sampled_token, "sampling",
         _dial("Random number, percent", 0, 100), 40),
        ("temperature", "temperature", pictures.writing.temperature, "sampling", _dial("Temperature × 10", 0, 20), 8),
        ("top_k", "top-k", pictures.writing.top_k, "sampling", _dial("k", 1, 9), 3),
        ("top_p", "top-p", pictures.writing.top_p, "sampling", _dial("p, percent", 5, 100, 5), 60),
        ("min_p", "min-p", pictures.writing.min_p, "sampling", _dial("Percent of the highest probability", 0, 50), 20),
        ("greedy", "greedy decoding", pictures.writing.greedy, "sampling"),
        ("repetition", "repetition penalty", pictures.writing.repetition_penalty, "sampling",
         _dial("Penalty × 10", 10, 20), 13),
        ("seed", "seed", pictures.writing.sampled_text, "sampling", _dial("Seed", 0, 30), 1),
        ("cache", "KV cache", pictures.writing.cache_growth, "the-kv-cache"),
        ("prefill", "prefill and decode", pictures.writing.query_key_pairs, "the-kv-cache"),
        ("speculative", "speculative decoding", pictures.writing.expected_draft_tokens, "",
         _dial("Draft tokens", 1, 8), 5),
        ("beam", "beam search", pictures.writing.beams, "", _dial("Beam width", 1, 10), 4),
    ),
    *_terms(
        "Beyond pre-training", 10,
        ("base_model", "base model", pictures.assistant.after_instruction, CHAT),
        ("chat_template", "chat template", pictures.assistant.chat, CHAT),
        ("preference", "preference tuning", pictures.assistant.preference_pull, CHAT),
        ("lora", "LoRA", pictures.assistant.low_rank, "", _dial("Rank", 1, 64), 8),
        ("quantisation", "quantization", pictures.assistant.quantization),
        ("hallucination", "hallucination", pictures.assistant.out_of_domain),
    ),
)  # fmt: skip
BY_NAME = {term.name: term for term in TERMS}


def respelled(query: str) -> str | None:
    """A corrected spelling for a query that no term matches, None if nothing is similar."""
    text = words.load("glossary_terms")
    texts = [f"{term.name} {search.plain(text.sections[term.section])}" for term in TERMS]
    return search.respelled(query, {word.lower() for word in _WORD.findall(" ".join(texts))})


def matching_terms(query: str) -> list[Term]:
    """The terms that contain every word of a query, those whose name begins with it first."""
    text = words.load("glossary_terms")
    query_words = [word.lower() for word in _WORD.findall(query)]
    scored = []
    for term in TERMS:
        name, body = term.name.lower(), search.plain(text.sections[term.section])
        if search.has_all(query, f"{name} {body}"):
            scored.append((-sum(2 * name.startswith(word) + (word in name) for word in query_words), term))
    return [term for _, term in sorted(scored, key=lambda pair: pair[0])]


@st.fragment
def terms() -> None:
    """A search field, the open term with its picture, and the matching terms by group."""
    text = words.load("glossary_terms")
    with lab.frame("c11_terms", text.read("lab_terms_title")):
        text.show("lab_terms", n=len(TERMS))
        session.caption_shipped_model()
        left, right = st.columns([3, 2], gap="medium")
        with left:
            query = controls.search_field(
                text.read("lab_terms_find"), "c11_find", text.read("lab_terms_hint")
            )
        matching = matching_terms(query)
        if not matching and (suggestion := respelled(query)):
            matching = matching_terms(suggestion)
            if matching:
                text.show("lab_terms_respelled", query=query, suggestion=suggestion)
        if not matching:
            text.show("lab_terms_none")
            return
        with right:
            term = BY_NAME[
                term_selector(text.read("lab_terms_term"), [term.name for term in matching], bool(query))
            ]
        term_entry(text, term)
        term_index(matching, term)


def term_selector(label: str, names: list[str], searching: bool) -> str:
    """The open term: the chosen one, or the best match."""
    key, default = "c11_term", names[0] if searching else "RoPE"
    rule = links.Choice(list(BY_NAME), RENAMED[key])
    index = 0 if links.rename(key, rule) else names.index(default)
    bind = links.check(key, rule, "RoPE")
    if st.session_state.get(key, default) not in names:
        del st.session_state[key]
    return st.selectbox(label, names, index, key=key, bind=bind, disabled=links.locked(key))


def term_index(matching: list[Term], chosen: Term) -> None:
    """The matching terms by group; a click opens one."""
    groups: dict[str, list[str]] = {}
    for term in matching:
        groups.setdefault(term.group, []).append(term.name)
    for number, group in enumerate(dict.fromkeys(term.group for term in TERMS)):
        if group not in groups:
            continue
        key = f"c11_group_{number}"
        names = sorted(groups[group], key=list(BY_NAME).index)
        st.session_state[key] = chosen.name if chosen.name in names else None
        st.pills(group, names, key=key, on_change=_open, args=(key,), disabled=links.locked("c11_term"))


def _open(key: str) -> None:
    if name := st.session_state[key]:
        st.session_state["c11_term"] = name


def term_entry(text: words.Words, term: Term) -> None:
    """One term: its definition, its picture, and links to its chapter and explainer."""
    with st.container(border=True, key="c11_entry"):
        left, right = st.columns([2, 3], gap="large")
        with left:
            st.markdown(text.sections[term.section])
            value = None
            if term.dial is not None:
                key = f"c11_dial_{term.section}"
                value = controls.integer(term.dial.label, key, term.dial, term.start)
            row = next(row for row in book.TABLE if row.number == term.chapter)
            st.page_link(book.page_of(row), label=row.label, icon=":material/arrow_forward:")
            if term.topic:
                explainer_link(term.topic)
        with right:
            draw_picture(term, value)


def explainer_link(topic: str) -> None:
    """The link to an explainer."""
    row = next(row for row in book.TABLE if row.url == "explainers")
    st.page_link(
        book.page_of(row),
        label=explainer(topic).title,
        icon=":material/menu_book:",
        query_params={"topic": topic},
    )


def draw_picture(term: Term, value: int | None) -> None:
    """The picture of a term, a figure or a strip of tokens."""
    picture = term.draw() if value is None else term.draw(value)
    if isinstance(picture, figures.Picture):
        figures.show(picture, key=f"c11_picture_{term.section}")
    else:
        chips.strip(picture, key=f"c11_strip_{term.section}", label=term.name)
