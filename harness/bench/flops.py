"""FLOPs: floating-point operations of one call, by `torch.utils.flop_counter`.

That counts matrix products, convolutions and attention; products of vectors and attention on the CPU, which it leaves
out, are added here. Element-wise work, reductions and special functions count nothing, and neither does what no
operator of torch does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count


def counted_flops(call: Callable[[], object]) -> int:
    """Count the FLOPs of one call, a product and a sum as two.

    Raises:
        Exception: whatever the call raises.
    """
    with FlopCounterMode(display=False, custom_mapping=_PRODUCTS) as counter:
        call()
    return int(counter.get_total_flops())


def _product_flops(left: Any, right: Any, *_: Any, **__: Any) -> int:
    """Count two FLOPs, a product and a sum, per entry of a matrix or vector that is multiplied by a vector."""
    return int(2 * max(math.prod(left), math.prod(right)))


def _added_product_flops(_: Any, left: Any, right: Any, *__: Any, **___: Any) -> int:
    return _product_flops(left, right)


def _attention_flops(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))


def _attention_backward_flops(cotangent: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_backward_flop_count(cotangent, query, key, value))


_ATEN = torch.ops.aten
_PRODUCTS: dict[Any, Any] = {
    _ATEN.mv: _product_flops,
    _ATEN.dot: _product_flops,
    _ATEN.vdot: _product_flops,
    _ATEN.addmv: _added_product_flops,
    _ATEN._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
    _ATEN._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward_flops,
}
"""FLOPs of operators that torch's own counter has none for."""
