"""Chapter 9: the time of one more token, with a cache and without."""

from pages.kit import figures, generation_figures, plots, session, words
from pages.labs.inference import cached


def finding() -> None:
    """The time of one more token with and without a cache, measured just now, by length of the text."""
    text = words.load("09_inference")
    model = session.model_in_use()
    times = cached.next_token_times(model)
    first, last = times.lengths[0], times.lengths[-1]
    text.show(
        "finding",
        last=last,
        without=times.without[-1],
        cached=times.cached[-1],
        first=first,
        without_first=times.without[0],
        cached_first=times.cached[0],
    )
    picture = plots.curves(
        times.lengths,
        {"cache off": times.without, "cache on": times.cached},
        x_title="earlier tokens",
        y_title="ms for the next token",
        height=240,
        revision="c9_finding",
    )
    picture.figure.update_yaxes(rangemode="tozero")
    for trace in picture.figure.data:
        trace.line.color = trace.marker.color = generation_figures.LANE_COLORS[trace.name]
    figures.show(picture, key="c9_finding")
