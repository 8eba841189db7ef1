"""A device that is not the CPU and has no float64, as Apple's GPUs: imitated, so that the tests need none.

Tensors are on the CPU and marked. A marked tensor says that its device is `mps`; what is computed from it is marked
too; float64 is refused, and so are operations on marked and unmarked tensors together.
"""

import contextlib

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("mps")
MOVES = (
    torch.Tensor.copy_,
    torch.Tensor.data.__set__,
    torch._has_compatible_shallow_copy_type,
)  # take tensors of two devices


def is_marked(value: object) -> bool:
    return isinstance(value, torch.Tensor) and "marked" in value.__dict__


def _mark(value: object) -> object:
    if isinstance(value, torch.Tensor):
        if value.dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        value.marked = True
    return value


class _Mode(TorchFunctionMode):
    def __init__(self):
        super().__init__()
        self.is_backward = False
        self.n_marked = 0  # calls whose result is on the device

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func == torch.Tensor.device.__get__:
            return DEVICE if is_marked(args[0]) else func(*args)
        if func in (torch.Tensor.to, torch.Tensor.cpu):
            return self._move(func, args, kwargs)
        goes_there = kwargs.get("device") is not None and torch.device(kwargs["device"]) == DEVICE
        if goes_there:
            assert "generator" not in kwargs, "a generator on the CPU draws no numbers for a GPU"
            kwargs["device"] = "cpu"
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        marked = [tensor for tensor in tensors if is_marked(tensor)]
        with self._backward(func):
            result = func(*args, **kwargs)
        if func not in MOVES and marked and not self.is_backward:
            strangers = [tensor for tensor in tensors if not is_marked(tensor) and tensor.dim()]
            assert not strangers, f"{func} has tensors on two devices"
        if func == torch.Tensor.data.__set__ and is_marked(args[1]):
            _mark(args[0])
        if goes_there or (marked and func != torch.Tensor.__deepcopy__):
            self.n_marked += 1
            tree_map(_mark, result)
        return result

    def _move(self, func, args, kwargs):
        tensor, others = args[0], [*args[1:], *kwargs.values()]
        device = DEVICE if is_marked(tensor) else torch.device("cpu")
        if func == torch.Tensor.cpu:
            device = torch.device("cpu")
        for other in others:
            if isinstance(other, (str, torch.device)):
                device = torch.device(other)
            elif isinstance(other, torch.Tensor):
                device = DEVICE if is_marked(other) else torch.device("cpu")
        dtypes = [other.dtype if isinstance(other, torch.Tensor) else other for other in others]
        dtype = next((dtype for dtype in dtypes if isinstance(dtype, torch.dtype)), tensor.dtype)
        if device == DEVICE and is_marked(tensor) and dtype == tensor.dtype:
            return tensor
        moved = tensor.to(dtype) if dtype != tensor.dtype else tensor.clone()
        return _mark(moved) if device == DEVICE else moved

    @contextlib.contextmanager
    def _backward(self, func):
        before, self.is_backward = self.is_backward, self.is_backward or func == torch.Tensor.backward
        yield
        self.is_backward = before


@contextlib.contextmanager
def gpu_without_float64(monkeypatch):
    """Imitate the device inside the block; `n_marked` of what it yields counts the calls computed there."""
    copy = torch.nn.Parameter.__deepcopy__

    def copied(parameter, memo):
        result = copy(parameter, memo)
        return _mark(result) if is_marked(parameter) else result

    monkeypatch.setattr(torch.nn.Parameter, "__deepcopy__", copied)
    with _Mode() as mode:
        yield mode
