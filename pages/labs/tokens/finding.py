"""Chapter 2: the finding at the top, one sentence in five languages."""

from gptcore.lessons.bpe_steps import cost
from gptcore.lessons.languages import SENTENCES
from pages.kit import figures, plots, story_data, words
from pages.labs.tokens import cached

SHOWN_LANGUAGES = ("English", "German", "Greek", "Chinese", "Hindi")


def finding() -> None:
    """One sentence in five languages, and its length in tokens."""
    text = words.load("02_tokens")
    story_tokenizer, gpt2_tokenizer = story_data.story_tokenizer(), cached.gpt2().tokenizer
    token_counts = {
        "our tokenizer": [cost(SENTENCES[name], story_tokenizer).n_tokens for name in SHOWN_LANGUAGES]
    }
    if gpt2_tokenizer is not None:
        token_counts["GPT-2's"] = [cost(SENTENCES[name], gpt2_tokenizer).n_tokens for name in SHOWN_LANGUAGES]
    english, last = token_counts["our tokenizer"][0], token_counts["our tokenizer"][-1]
    text.show(
        "finding",
        sentence=SENTENCES["English"],
        english=english,
        last=last,
        language=SHOWN_LANGUAGES[-1],
        times=last / english,
        characters=len(SENTENCES["English"]),
        fewer=len(SENTENCES[SHOWN_LANGUAGES[-1]]),
    )
    picture = plots.columns(
        SHOWN_LANGUAGES,
        token_counts,
        y_title=text.read("finding_chart"),
        form=".0f",
        height=270,
        revision="finding",
    )
    figures.show(picture, key="c2_finding")
