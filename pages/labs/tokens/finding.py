"""Chapter 2: the finding at its top, one sentence in five languages."""

from gptcore.lessons.bpe_steps import cost
from gptcore.lessons.languages import SENTENCES
from pages.kit import figures, plots, story_data, words
from pages.labs.tokens import cached

IN_FRONT = ("English", "German", "Greek", "Chinese", "Hindi")


def finding() -> None:
    """One sentence in five languages: what it costs in tokens."""
    text = words.load("02_tokens")
    ours, other = story_data.story_tokenizer(), cached.gpt2().tokenizer
    counted = {"our tokenizer": [cost(SENTENCES[name], ours).n_tokens for name in IN_FRONT]}
    if other is not None:
        counted["GPT-2's"] = [cost(SENTENCES[name], other).n_tokens for name in IN_FRONT]
    english, last = counted["our tokenizer"][0], counted["our tokenizer"][-1]
    text.show(
        "finding",
        sentence=SENTENCES["English"],
        english=english,
        last=last,
        language=IN_FRONT[-1],
        times=last / english,
        characters=len(SENTENCES["English"]),
        fewer=len(SENTENCES[IN_FRONT[-1]]),
    )
    picture = plots.columns(
        IN_FRONT, counted, y_title=text.read("finding_chart"), form=".0f", height=270, revision="finding"
    )
    figures.show(picture, key="c2_finding")
