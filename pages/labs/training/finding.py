"""Chapter 8: the finding at its top, what a run learns after most of its loss has fallen."""

from pages.kit import curves, event_log, figures, session, words
from pages.kit.history import late_gains


def finding() -> None:
    """Show what the shipped model's run still learned while its loss hardly moved."""
    text = words.load("08_training")
    session.caption_shipped_model()
    shipped = event_log.shipped()
    gains = late_gains(shipped)
    if gains is None:
        text.show("no_finding")
        return
    text.show(
        "finding",
        step=gains.step,
        dropped=1 - gains.loss_moved / gains.loss_all,
        grammar=gains.grammar,
        loss_moved=gains.loss_moved,
        loss_all=gains.loss_all,
        names_then=gains.names_then,
        names_now=gains.names_now,
    )
    figure, alt = curves.story_score_finding(shipped)
    figures.show(figures.Picture(figure, alt), key="c8_finding")
