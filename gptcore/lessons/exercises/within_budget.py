"""Chapter 7: the widest valid model with at most a given number of parameters."""

from collections.abc import Iterator

from gptcore.lessons.exercises import Case, Exercise, Mistake


def widest(budget: int, vocab_size: int, n_layers: int, n_heads: int, n_kv_heads: int) -> int:
    """Return the largest valid width C of a model with at most `budget` parameters, or 0 if none fits.

    The model is LLaMA-style with tied embeddings: grouped-query attention, SwiGLU of width 3·C, RMSNorms (two per layer
    and a final one), no biases. The head dimension C / n_heads must be an integer and, for rotary positions, even.
    """

    def count(width: int) -> int:
        head = width // n_heads
        attention = 2 * width * width + 2 * width * n_kv_heads * head
        feedforward = 3 * width * (3 * width)
        return vocab_size * width + n_layers * (attention + feedforward + 2 * width) + width

    step, best = 2 * n_heads, 0
    while count(best + step) <= budget:
        best += step
    return best


def _widest(budget: int, n_heads: int, count, *, even: bool = True) -> int:
    step, best = (2 if even else 1) * n_heads, 0
    while count(best + step) <= budget:
        best += step
    return best


def _count(
    width: int,
    vocab_size: int,
    n_layers: int,
    n_heads: int,
    n_kv_heads: int,
    *,
    tables: int = 1,
    matrices: int = 3,
) -> int:
    attention = 2 * width * width + 2 * width * n_kv_heads * (width // n_heads)
    blocks = n_layers * (attention + matrices * width * 3 * width + 2 * width)
    return tables * vocab_size * width + blocks + width


def _without_table(budget: int, vocab_size: int, n_layers: int, n_heads: int, n_kv_heads: int) -> int:
    return _widest(budget, n_heads, lambda c: _count(c, vocab_size, n_layers, n_heads, n_kv_heads, tables=0))


def _two_tables(budget: int, vocab_size: int, n_layers: int, n_heads: int, n_kv_heads: int) -> int:
    return _widest(budget, n_heads, lambda c: _count(c, vocab_size, n_layers, n_heads, n_kv_heads, tables=2))


def _two_matrices(budget: int, vocab_size: int, n_layers: int, n_heads: int, n_kv_heads: int) -> int:
    return _widest(
        budget, n_heads, lambda c: _count(c, vocab_size, n_layers, n_heads, n_kv_heads, matrices=2)
    )


def _all_key_heads(budget: int, vocab_size: int, n_layers: int, n_heads: int, n_kv_heads: int) -> int:
    return _widest(budget, n_heads, lambda c: _count(c, vocab_size, n_layers, n_heads, n_heads))


def _odd_heads(budget: int, vocab_size: int, n_layers: int, n_heads: int, n_kv_heads: int) -> int:
    return _widest(
        budget, n_heads, lambda c: _count(c, vocab_size, n_layers, n_heads, n_kv_heads), even=False
    )


def _one_layer(budget: int, vocab_size: int, n_layers: int, n_heads: int, n_kv_heads: int) -> int:
    return _widest(budget, n_heads, lambda c: _count(c, vocab_size, 1, n_heads, n_kv_heads))


def _over(budget: int, vocab_size: int, n_layers: int, n_heads: int, n_kv_heads: int) -> int:
    return widest(budget, vocab_size, n_layers, n_heads, n_kv_heads) + 2 * n_heads


def _cases() -> Iterator[Case]:
    for label, budget, vocab_size, n_layers, n_heads, n_kv_heads in (
        ("a million parameters, a small vocabulary", 1_000_000, 2048, 4, 4, 4),
        ("ten million, two key/value heads for eight query heads", 10_000_000, 8192, 6, 8, 2),
        ("17 million with GPT-2's vocabulary", 17_062_400, 50_257, 4, 4, 4),
        ("151 million, deep, one key/value head", 151_000_000, 50_257, 24, 12, 1),
        ("half a million, three heads", 500_000, 512, 3, 3, 3),
        ("a budget too small for any model", 5000, 50_257, 2, 4, 2),
    ):
        yield Case(
            label=label,
            arguments={"budget": budget, "vocab_size": vocab_size, "n_layers": n_layers, "n_heads": n_heads,
                       "n_kv_heads": n_kv_heads},
        )  # fmt: skip


EXERCISE = Exercise(
    name="within_budget",
    chapter=7,
    title="The widest model within a parameter budget",
    task="Vocabulary, layers, heads and a maximum number of parameters are given. Find the widest valid model within "
    "this budget.",
    solution=widest,
    cases=_cases,
    imports="",
    mistakes=(
        Mistake(
            name="no embedding matrix",
            says="The embedding matrix is missing. It has vocabulary times width parameters, most of a small model.",
            wrong=_without_table,
        ),
        Mistake(
            name="two tables",
            says="The embedding matrix is counted twice. It is tied: the output layer uses the same matrix.",
            wrong=_two_tables,
        ),
        Mistake(
            name="two matrices",
            says="The feed-forward layer has two matrices in your count. SwiGLU has three: gate, up and down.",
            wrong=_two_matrices,
        ),
        Mistake(
            name="all heads have keys",
            says="Keys and values are counted for every query head. There are n_kv_heads of them, and only the query "
            "and the output matrix have the full width.",
            wrong=_all_key_heads,
        ),
        Mistake(
            name="odd heads",
            says="Some of your widths give an odd head dimension. Rotary positions rotate pairs of numbers, so it must "
            "be even.",
            wrong=_odd_heads,
        ),
        Mistake(
            name="one layer",
            says="Only one layer is counted. Multiply attention, feed-forward layer and two norms by n_layers.",
            wrong=_one_layer,
        ),
        Mistake(
            name="over the budget",
            says="Your width is one step too large: the model has more parameters than the budget.",
            wrong=_over,
        ),
    ),
)
