"""Short texts for numbers, tensors and operators, as they stand on nodes and edges of a drawn graph.

Minus signs stay ASCII here, so that the texts can be read back; `draw` sets them as mathematics.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, fx

MATMUL = frozenset({"mm", "mv", "dot", "bmm", "vdot", "matmul"})
NAMES = {
    "addmm": "linear",
    "linalg_vector_norm": "norm",
    "rsqrt": "1 / sqrt",
    "_to_copy": "cast",
    "t": "transpose",
    "rsub": "subtract from",
    "native_layer_norm": "layer norm",
    "nll_loss_forward": "nll loss",
    "linalg_inv_ex": "inverse",
    "_linalg_solve_ex": "solve",
    "_linalg_slogdet": "slogdet",
    "_linalg_det": "det",
    "_linalg_eigh": "eigh",
    "_linalg_svd": "svd",
    "linalg_cholesky_ex": "cholesky",
    "_scaled_dot_product_flash_attention_for_cpu": "attention",
    "_scaled_dot_product_flash_attention": "attention",
    "_scaled_dot_product_efficient_attention": "attention",
}
SHOWN = frozenset({"other", "exponent", "value"})
"""Schema arguments whose number stands after the operator's name on its own."""
NAMED = frozenset({"min", "max", "alpha", "dim", "negative_slope", "index", "dtype", "p", "ord"})
"""Schema arguments that are shown with their name when they are not the default."""


def number_text(number: float, *, digits: int = 6) -> str:
    """Write a number with so many significant digits, without trailing zeros or a signed zero."""
    return f"{number + 0.0:.{digits}g}".replace("e+0", "e+").replace("e-0", "e-").replace("e+", "e")


def shape_text(shape: Iterable[int]) -> str:
    """Write a shape as 2×3."""
    return "×".join(map(str, shape))


def vector_text(entries: Tensor) -> str:
    """Write all entries of a vector."""
    return "[" + ", ".join(number_text(entry, digits=4) for entry in entries.tolist()) + "]"


def range_text(entries: Tensor) -> str:
    """Write the smallest and largest entry; entries that are not finite are counted apart."""
    finite = entries[entries.isfinite()]
    lost = entries.numel() - finite.numel()
    odd = f"{lost} not finite" if lost else ""
    if not finite.numel():
        return odd
    low, high = (number_text(float(end), digits=3) for end in finite.aminmax())
    return ", ".join(filter(None, [f"{low} … {high}" if low != high else f"all {low}", odd]))


def tensor_text(tensor: Tensor) -> str:
    """Describe a value: the number, the entries of a short vector, or shape and range.

    Args:
        tensor: any shape and dtype.

    Returns:
        One line.
    """
    if tensor.numel() == 1 and tensor.dim() == 0:
        return _scalar_text(tensor.item())
    if tensor.is_complex() or tensor.dtype == torch.bool or not tensor.numel():
        entries = [_scalar_text(entry) for entry in tensor.flatten().tolist()] if tensor.numel() <= 3 else []
        kind = str(tensor.dtype).removeprefix("torch.")
        return "[" + ", ".join(entries) + "]" if entries and tensor.dim() == 1 else f"{shape_text(tensor.shape)} {kind}"
    if tensor.dim() == 1 and tensor.numel() <= 4:
        return vector_text(tensor)
    size = f"{len(tensor)} entries" if tensor.dim() == 1 else shape_text(tensor.shape)
    return f"{size}: {range_text(tensor.flatten().double())}"


def _scalar_text(value: object) -> str:
    if isinstance(value, complex):
        sign = "-" if value.imag < 0 else "+"
        return f"{number_text(value.real, digits=4)} {sign} {number_text(abs(value.imag), digits=4)}i"
    return number_text(value) if isinstance(value, float) else str(value)


def operator_text(node: fx.Node) -> str:
    """Name an operator as a reader would: "mul", "sin", "pow 3", "matmul", "sum dim 1".

    Args:
        node: a `call_function` node; an unpacking node is named after the operator it unpacks.

    Returns:
        The name with those arguments that are plain numbers and matter.
    """
    if not isinstance(node.target, torch._ops.OpOverload):
        return operator_text(node.all_input_nodes[0]) if node.all_input_nodes else node.name
    raw = node.target.overloadpacket.__name__
    name = "matmul" if raw in MATMUL else NAMES.get(raw, raw.strip("_").replace("_", " "))
    if node.target is torch.ops.aten.view.dtype:
        name = "reinterpret bits as"
    if raw == "select":
        return f"[{node.args[2]}]" if node.args[1] == 0 else f"[dim {node.args[1]}: {node.args[2]}]"
    return " ".join([name, *_parameters(node, node.target)])


def _parameters(node: fx.Node, operator: torch._ops.OpOverload) -> list[str]:
    described = []
    for position, argument in enumerate(operator._schema.arguments):
        value = node.args[position] if position < len(node.args) else node.kwargs.get(argument.name)
        plain = isinstance(value, (int, float)) and not isinstance(value, bool)
        if plain and argument.name in SHOWN:
            described.append(_plain(value))
        elif plain and argument.name == "self":
            described.append(f"of {_plain(value)} to")
        elif isinstance(value, torch.dtype):
            described.append(str(value).removeprefix("torch."))
        elif argument.name in NAMED and _matters(value):
            described.append(f"{argument.name} {_listed(value)}")
    return described


def _matters(value: object) -> bool:
    numbers = value if isinstance(value, (list, tuple)) else (value,)
    return bool(numbers) and all(
        isinstance(number, (int, float)) and not isinstance(number, bool) for number in numbers
    )


def _listed(value: object) -> str:
    numbers: Sequence[float] = value if isinstance(value, (list, tuple)) else (value,)
    return ", ".join(map(_plain, numbers))


def _plain(value: object) -> str:
    return number_text(value) if isinstance(value, float) else str(value)
