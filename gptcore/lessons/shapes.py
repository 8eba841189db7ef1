"""What tensors of given shapes do together, with the rule in words where they do nothing.

For trying out: the numbers are counted through, 1, 2, 3, …, and whatever torch refuses is explained by the rule
it breaks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

Shape = tuple[int, ...]
WRITTEN = 99.0  # what is put into a result, to see whether it shows in A


class ShapeError(ValueError):
    """Shapes that do not fit, in one sentence that names the rule."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an operation gives, whether it lies in the memory of its first argument, and A after 99 is written."""

    result: Tensor
    shares_memory: bool
    after_writing: Tensor


def counted(shape: Shape, first: int = 1) -> Tensor:
    """Return a tensor of this shape whose numbers are counted through, row by row."""
    n = torch.Size(shape).numel()
    return torch.arange(first, first + n, dtype=torch.float32).reshape(shape)


def broadcast(a: Shape, b: Shape) -> Shape:
    """Return the shape of a sum; raises ShapeError where two sizes differ and neither is 1."""
    for i, (size_a, size_b) in enumerate(zip(reversed(a), reversed(b)), 1):
        if size_a != size_b and 1 not in (size_a, size_b):
            raise ShapeError(
                f"the sizes {size_a} and {size_b}, {_ordinal(i)} from the right, cannot be broadcast: they "
                "must be equal, or one of them 1"
            )
    return np.broadcast_shapes(a, b)  # torch's loads all of SymPy, 35 MB


def product_shape(a: Shape, b: Shape) -> Shape:
    """Return the shape of a matrix product; raises ShapeError where the inner sizes differ."""
    if a[-1] != b[0]:
        raise ShapeError(
            f"a row of A has {a[-1]} numbers and a column of B has {b[0]}, and a dot product needs equal "
            "numbers"
        )
    return (*a[:-1], *b[1:])


def view_shape(a: Shape, new_shape: Shape) -> Shape:
    """Return the shape of a view; raises ShapeError where the counts differ."""
    have, want = torch.Size(a).numel(), torch.Size(new_shape).numel()
    if have != want:
        raise ShapeError(
            f"A has {have} numbers and {_times(new_shape)} needs {want}; a view keeps the number of elements"
        )
    return new_shape


def add(a: Shape, b: Shape) -> Outcome:
    """A + B, the smaller one repeated along sizes of 1."""
    broadcast(a, b)
    return _outcome(a, lambda x: x + counted(b, 10))


def multiply(a: Shape, b: Shape) -> Outcome:
    """A @ B: each row of A against each column of B."""
    product_shape(a, b)
    return _outcome(a, lambda x: x @ counted(b, 10))


def view(a: Shape, b: Shape) -> Outcome:
    """A read in rows of another length."""
    view_shape(a, b)
    return _outcome(a, lambda x: x.view(b))


def transpose(a: Shape, b: Shape) -> Outcome:
    """A with rows and columns exchanged; B takes no part."""
    return _outcome(a, lambda x: x.T)


OPERATIONS: Mapping[str, Callable[[Shape, Shape], Outcome]] = {
    "A + B": add,
    "A @ B": multiply,
    "A.view": view,
    "A.T": transpose,
}


# The rule of each operation by itself, without a tensor.
RULES: Mapping[str, Callable[[Shape, Shape], Shape]] = {
    "A + B": broadcast,
    "A @ B": product_shape,
    "A.view": view_shape,
    "A.T": lambda a, b: (a[1], a[0]),
}


def repairs(operation: str, a: Shape, b: Shape, largest: int = 6) -> list[dict[int, int]]:
    """Return what to change so that an operation works, fewest and smallest changes first: new sizes by place.

    Places count through A's two sizes and then B's.
    """
    now, ranked = (*a, *b), []
    for sizes in product(range(1, largest + 1), repeat=len(now)):
        changes = {i: size for i, size in enumerate(sizes) if size != now[i]}
        if changes and _works(operation, sizes[: len(a)], sizes[len(a) :]):
            ranked.append((len(changes), sum(abs(size - now[i]) for i, size in changes.items()), changes))
    return [changes for *_, changes in sorted(ranked, key=lambda entry: entry[:2])]


def _works(operation: str, a: Shape, b: Shape) -> bool:
    try:
        RULES[operation](a, b)
    except ShapeError:
        return False
    return True


def _outcome(a: Shape, compute: Callable[[Tensor], Tensor]) -> Outcome:
    x = counted(a)
    result = compute(x)
    before_write = result.clone()
    result[(0,) * result.dim()] = WRITTEN
    return Outcome(before_write, result.untyped_storage().data_ptr() == x.untyped_storage().data_ptr(), x)


def dot_products(a: Tensor, b: Tensor) -> Tensor:
    """Return the matrix product as what it is, a table of dot products: (N, K), (K, M) -> (N, M)."""
    return torch.stack([torch.stack([torch.dot(row, column) for column in b.T]) for row in a])


def _times(shape: Shape) -> str:
    return " × ".join(map(str, shape))


def _ordinal(n: int) -> str:
    return {1: "first", 2: "second"}.get(n, f"number {n}")
