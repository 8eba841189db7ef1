"""Chapter 7: the widest legal model that a number of weights pays for."""

from collections.abc import Iterator

from gptcore.lessons.exercises import Case, Exercise, Mistake


def widest(budget: int, vocab_size: int, n_layers: int, n_heads: int, n_kv_heads: int) -> int:
    """Return the largest width C of a legal model with at most `budget` weights, 0 where none fits.

    The model is LLaMA's kind with a tied table: grouped queries, SwiGLU of width 3·C, RMSNorms (two a layer and one at
    the end), no biases. Heads have width C / n_heads, which must be whole and, for rotary positions, even.
    """

    def weights(width: int) -> int:
        head = width // n_heads
        attention = 2 * width * width + 2 * width * n_kv_heads * head
        feedforward = 3 * width * (3 * width)
        return vocab_size * width + n_layers * (attention + feedforward + 2 * width) + width

    step, best = 2 * n_heads, 0
    while weights(best + step) <= budget:
        best += step
    return best


def _widest(budget: int, n_heads: int, weights, *, even: bool = True) -> int:
    step, best = (2 if even else 1) * n_heads, 0
    while weights(best + step) <= budget:
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
        ("a million weights, a small vocabulary", 1_000_000, 2048, 4, 4, 4),
        ("ten million, two key heads of eight", 10_000_000, 8192, 6, 8, 2),
        ("17 million with GPT-2's vocabulary", 17_062_400, 50_257, 4, 4, 4),
        ("151 million, deep, one key head", 151_000_000, 50_257, 24, 12, 1),
        ("half a million, three heads", 500_000, 512, 3, 3, 3),
        ("a budget that pays for nothing", 5000, 50_257, 2, 4, 2),
    ):
        yield Case(
            label=label,
            arguments={"budget": budget, "vocab_size": vocab_size, "n_layers": n_layers, "n_heads": n_heads,
                       "n_kv_heads": n_kv_heads},
        )  # fmt: skip


EXERCISE = Exercise(
    name="within_budget",
    chapter=7,
    title="A legal design within a budget",
    task="You may spend so many weights. Vocabulary, layers and heads are given: find the widest model that is legal "
    "and that the budget pays for.",
    solution=widest,
    cases=_cases,
    imports="",
    mistakes=(
        Mistake(
            name="no embedding matrix",
            says="The embedding is missing. In a small model it is most of the weights: vocabulary times width.",
            wrong=_without_table,
        ),
        Mistake(
            name="two tables",
            says="The table is counted twice. It is tied: the output layer reads the embedding's own weights.",
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
            says="Some of your widths give heads of odd width. Rotary positions turn pairs, so a head's width must be "
            "even.",
            wrong=_odd_heads,
        ),
        Mistake(
            name="one layer",
            says="One layer is counted. Attention, feed-forward and two norms come n_layers times.",
            wrong=_one_layer,
        ),
        Mistake(
            name="over the budget",
            says="Your width is one step too large: the model has more weights than the budget pays for.",
            wrong=_over,
        ),
    ),
)
