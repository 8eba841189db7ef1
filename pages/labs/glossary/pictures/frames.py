"""Shared by the pictures of the glossary: curves and bars in the size of its page, and the model they show."""

from gptcore.lessons.published_models import PUBLISHED
from pages.kit import forward, models, plots, story_data
from pages.kit.figures import Picture

SENTENCE = "The king had a golden ring. The king lost the ring."
HEIGHT = 260
PROBABILITIES = tuple(n / 100 for n in range(1, 101))
LLAMA = PUBLISHED["LLaMA 3 8B"]


def curve(x, bands, x_title: str, y_title: str, **more) -> Picture:
    """Curves in the size of this page."""
    return plots.curves(x, bands, x_title=x_title, y_title=y_title, height=HEIGHT, revision=y_title, **more)


def bars(names, values, y_title: str, form: str | None = None, **more) -> Picture:
    """Upright bars in the size of this page."""
    return plots.columns(
        names, {y_title: values}, y_title=y_title, form=form, height=HEIGHT, revision=y_title, **more
    )


def token_ids(words) -> list[int]:
    tokenizer = story_data.story_tokenizer()
    return [tokenizer.encode(word)[0] for word in words]


def sentence_trace():
    use = models.shipped()
    return forward.traced(use, SENTENCE)


def signed_axis(picture: Picture) -> Picture:
    """Bars that may point down: the figure chooses its own axis range."""
    picture.figure.update_yaxes(autorange=True, range=None)
    return picture
