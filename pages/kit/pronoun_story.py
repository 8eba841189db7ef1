"""The beginning of a story whose next word depends on a name far back, and the model that continues it."""

from dataclasses import dataclass

from gptcore.stories.scores import reference_probe
from pages.kit import models, session
from pages.kit.models import ModelHandle


@dataclass(frozen=True, slots=True)
class PronounStory:
    """A beginning told with either of two names, and the pronoun each name asks for `words_back` words later."""

    before: str
    after: str
    other_name: str
    name: str
    other_pronoun: str
    pronoun: str
    words_back: int

    @property
    def text(self) -> str:
        return self.with_name(self.name)

    @property
    def other_text(self) -> str:
        return self.with_name(self.other_name)

    @property
    def names(self) -> tuple[str, str]:
        return self.other_name, self.name

    @property
    def pronouns(self) -> tuple[str, str]:
        """The pronouns in the order of `names`."""
        return self.other_pronoun, self.pronoun

    def with_name(self, name: str) -> str:
        """The beginning with this name in it."""
        return self.before + name + self.after


def pronoun_story() -> PronounStory:
    """The first beginning of the story world's reference probe, split at its name."""
    probe = reference_probe()[0]
    male, female = probe.male.split(" "), probe.female.split(" ")
    at = next(i for i, (his, hers) in enumerate(zip(male, female)) if his != hers)
    return PronounStory(
        before=" ".join(male[:at]) + " ",
        after=" " + " ".join(male[at + 1 :]),
        other_name=male[at],
        name=female[at],
        other_pronoun=probe.male_word,
        pronoun=probe.female_word,
        words_back=probe.words_back,
    )


def storyteller() -> ModelHandle:
    """The model in use if it has learned from the stories and the story fits its context, else the shipped one."""
    handle = session.model_in_use()
    fits = len(handle.tokenizer.encode(pronoun_story().text)) <= handle.config.context_length
    return handle if fits and handle.learned_from_stories() else models.shipped()


def beginning_that_fits(handle: ModelHandle) -> str:
    """The story's text, or as much of it as the model's context holds."""
    text = pronoun_story().text
    ids = handle.tokenizer.encode(text)
    most = handle.config.context_length
    return text if len(ids) <= most else handle.tokenizer.decode(ids[:most])
