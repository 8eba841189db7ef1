"""Chapter 11: five numbers about a model, estimated from its shape."""

import math
from collections.abc import Callable, Iterator

from gptcore.lessons.exercises import Case, Exercise, Mistake, Verdict, _kind, _line_of

TOLERANCE = 0.02  # relative error: an estimate may leave out the norms
NAMES = ("the parameters", "the KV cache", "the training memory", "the first loss", "the FLOPs per token")


def estimate(
    vocab_size: int, width: int, n_layers: int, n_heads: int, n_kv_heads: int, inner: int, n_tokens: int
) -> tuple[float, float, float, float, float]:
    """Return parameters, cache bytes, training bytes, first loss and FLOPs per token of a LLaMA-style model.

    Its embeddings are tied; heads have width `width / n_heads`; the feed-forward layer is SwiGLU of width `inner`. The
    cache holds `n_tokens` tokens in bf16. Training is with AdamW in fp32, activations not counted. The first loss is
    that of a uniform distribution, in nats. FLOPs are for training on one token, by the rule of thumb over all
    parameters.
    """
    head = width // n_heads
    attention = 2 * width * width + 2 * width * n_kv_heads * head
    feedforward = 3 * width * inner
    weights = vocab_size * width + n_layers * (attention + feedforward + 2 * width) + width
    cache = 2 * n_layers * n_kv_heads * head * n_tokens * 2
    return weights, cache, 16 * weights, math.log(vocab_size), 6 * weights


def _wrong(index: int, of: Callable[..., float]) -> Callable:
    """Return the solution with one of its five numbers computed differently, and the numbers that depend on it."""

    def answer(**shape: int) -> tuple[float, ...]:
        numbers = list(estimate(**shape))
        numbers[index] = of(*numbers, **shape)
        if index == 0:
            numbers[2], numbers[4] = 16 * numbers[0], 6 * numbers[0]
        return tuple(numbers)

    return answer


def _two_tables(weights, *_, vocab_size: int, width: int, **rest: int) -> float:
    return weights + vocab_size * width


def _two_matrices(weights, *_, width: int, n_layers: int, inner: int, **rest: int) -> float:
    return weights - n_layers * width * inner


def _query_heads(weights, cache, *_, n_heads: int, n_kv_heads: int, **rest: int) -> float:
    return cache * n_heads / n_kv_heads


def _keys_only(weights, cache, *_, **rest: int) -> float:
    return cache / 2


def _weights_only(weights, *_, **rest: int) -> float:
    return 4 * weights


def _no_moments(weights, *_, **rest: int) -> float:
    return 8 * weights


def _bits(*_, vocab_size: int, **rest: int) -> float:
    return math.log2(vocab_size)


def _forward_only(weights, *_, **rest: int) -> float:
    return 2 * weights


def _cases() -> Iterator[Case]:
    names = ("vocab_size", "width", "n_layers", "n_heads", "n_kv_heads", "inner", "n_tokens")
    for label, *shape in (
        ("the shipped model's shape", 2048, 128, 4, 4, 4, 384, 256),
        ("the preset small", 50_257, 768, 12, 12, 12, 3072, 1024),
        ("eight heads share two keys", 32_000, 1024, 16, 16, 4, 2816, 2048),
        ("Llama 3.2 1B", 128_256, 2048, 16, 32, 8, 8192, 8192),
    ):
        yield Case(label=label, arguments=dict(zip(names, shape, strict=True)))


MISTAKES = (
    Mistake(
        name="two tables",
        says="The embedding matrix is counted twice. It is tied: the output layer uses the same matrix.",
        wrong=_wrong(0, _two_tables),
    ),
    Mistake(
        name="two matrices",
        says="The feed-forward layer has two matrices in your count. SwiGLU has three: gate, up and down.",
        wrong=_wrong(0, _two_matrices),
    ),
    Mistake(
        name="query heads in the cache",
        says="The cache counts a key for every query head. Only the key/value heads are stored.",
        wrong=_wrong(1, _query_heads),
    ),
    Mistake(
        name="keys without values",
        says="The cache is half of what it should be: each key comes with a value.",
        wrong=_wrong(1, _keys_only),
    ),
    Mistake(
        name="weights alone",
        says="Those are the weights alone, four bytes each. Training also stores a gradient and two moment "
        "estimates for each.",
        wrong=_wrong(2, _weights_only),
    ),
    Mistake(
        name="no moments",
        says="That is weights and gradients. AdamW also keeps two moment estimates per weight.",
        wrong=_wrong(2, _no_moments),
    ),
    Mistake(
        name="bits for nats",
        says="Your first loss is in bits, base two. The loss of this book is in nats, with the natural logarithm.",
        wrong=_wrong(3, _bits),
    ),
    Mistake(
        name="forward only",
        says="Two FLOPs per parameter is the forward pass. The backward pass takes another four: six in all.",
        wrong=_wrong(4, _forward_only),
    ),
)


def judge(learner: Callable) -> Verdict:
    """Return the verdict on five estimates of several models: each may be off by 2%."""
    cases = list(_cases())
    for case in cases:
        try:
            got = learner(**case.arguments)
        except NotImplementedError:
            return _no(cases, "The function is still empty; fill in the gap first.")
        except Exception as error:  # whatever a learner's code raises is an answer to them
            message = " ".join(str(error).split()) or "no message"
            return _no(cases, f"{case.label}: {type(error).__name__}: {message}{_line_of(error)}")
        if not isinstance(got, (tuple, list)) or len(got) != len(NAMES):
            kind = f"{len(got)} of them" if isinstance(got, (tuple, list)) else _kind(got)
            return _no(cases, f"Five numbers are wanted, your function returns {kind}.")
        if (verdict := _compare(cases, case, got)) is not None:
            return verdict
    return Verdict(passed=True, says=f"Right on all {len(cases)} models.", n_cases=len(cases))


def _compare(cases: list[Case], case: Case, got) -> Verdict | None:
    """Return what is wrong with the first number that is off; a mistake is known by that number alone."""
    for index, (estimated, right) in enumerate(zip(got, estimate(**case.arguments), strict=True)):
        if not isinstance(estimated, (int, float)):
            return _no(cases, f"{case.label}: {NAMES[index]} should be a number, it is {_kind(estimated)}.")
        if _near(estimated, right):
            continue
        for mistake in MISTAKES:
            wrong = mistake.wrong(**case.arguments)[index]
            if not _near(wrong, right) and _near(estimated, wrong):
                return _no(cases, mistake.says, mistake=mistake.name, case=case.label)
        return _no(
            cases, f"{case.label}: {NAMES[index]} should be {right:.6g}, your number is {estimated:.6g}."
        )
    return None


def _near(a: float, b: float) -> bool:
    return abs(a - b) <= TOLERANCE * abs(b)


def _no(cases: list[Case], says: str, **more: str) -> Verdict:
    return Verdict(passed=False, says=says, n_cases=len(cases), **more)


EXERCISE = Exercise(
    name="five_estimates",
    chapter=11,
    title="Five estimates from memory",
    task="From the shape of a model, estimate its number of parameters, the memory of its KV cache and of training, "
    "its first loss, and the FLOPs of training on one token. Each may be off by 2%.",
    solution=estimate,
    cases=_cases,
    imports="import math\n",
    mistakes=MISTAKES,
    judge=judge,
)
