"""A text that the tests of the corpora share."""

PARAGRAPHS = "\n\n".join(
    f"Paragraph {i} says that {i} and {i + 1} make {2 * i + 1}.\nIts second line has no more to say."
    for i in range(200)
)
