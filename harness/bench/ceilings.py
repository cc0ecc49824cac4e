"""Ceilings: the copy bandwidth and the matrix-product rate that a device reaches, as the roof over its timings.

A roofline sets a timing beside the least time its bytes and its FLOPs could take on this machine (Williams, Waterman
and Patterson, 2009). Both rates are those of torch's own copy and product, the best of a few blocks: what slows a
block down says nothing about the device. They are measured with the settings timings are: threads, and what float32
products may be rounded to on an accelerator.

What they are not: a timing whose data stays in a cache may move bytes faster than a copy through memory, and a product
on special units may exceed that of another number type.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from harness.bench.clocks import Clock
from harness.bench.memory import free_bytes
from harness.records import Ceilings

DTYPES = (torch.float32, torch.float64)
COPY_BYTES = 512 * 2**20
"""Bytes of the tensor that is copied, twice that is moved: more than caches hold."""

MEMORY_SHARE = 0.1
"""Most of the memory left that the copy may take."""

BLOCKS = 3
LONG_ENOUGH_S = 0.02
"""A product of matrices is long enough when it takes this: starting it then costs next to nothing."""

FEWEST_ROWS, MOST_ROWS = 256, 8192


def measure_ceilings(
    clock: Clock, dtypes: Sequence[torch.dtype] = DTYPES, *, copy_bytes: int = COPY_BYTES
) -> tuple[Ceilings, ...]:
    """Measure a device's ceilings, one record per dtype; it takes a second or so.

    Args:
        clock: times blocks of calls on the device.
        dtypes: of the matrices.
        copy_bytes: size of the tensor to copy; less is taken where memory is short.
    """
    size, bytes_per_s = _copy_rate(clock, copy_bytes)
    threads = torch.get_num_threads() if clock.device.type == "cpu" else None
    products = [(dtype, *_product_rate(clock, dtype)) for dtype in dtypes]
    return tuple(
        Ceilings(
            device=clock.name,
            dtype=str(dtype).removeprefix("torch."),
            bytes_per_s=bytes_per_s,
            flops_per_s=rate,
            copy_bytes=size,
            matrix_rows=rows,
            threads=threads,
        )
        for dtype, rows, rate in products
    )


def _copy_rate(clock: Clock, wanted: int) -> tuple[int, float]:
    """Copy a tensor and return its size in bytes, and bytes read and written per second."""
    free = free_bytes(clock.device)
    size = wanted if free is None else max(1, min(wanted, int(free * MEMORY_SHARE / 2)))
    source = torch.ones(size, dtype=torch.uint8, device=clock.device)
    target = torch.empty_like(source)
    return size, 2 * size / _best_s(clock, lambda: target.copy_(source))


def _product_rate(clock: Clock, dtype: torch.dtype) -> tuple[int, float]:
    """Multiply square matrices, larger ones until it takes long enough; return their rows and FLOPs per second."""
    rows = FEWEST_ROWS
    while True:
        left, right = (_matrix(rows, dtype, clock.device) for _ in range(2))
        out = torch.empty_like(left)
        took_s = _best_s(clock, lambda left=left, right=right, out=out: torch.mm(left, right, out=out))  # type: ignore[misc]
        if took_s >= LONG_ENOUGH_S or rows >= MOST_ROWS:
            return rows, 2 * rows**3 / took_s
        rows *= 2


def _matrix(rows: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Make a matrix of seeded entries: products of zeros would draw less power and run faster than any others."""
    generator = torch.Generator().manual_seed(rows)
    return torch.rand(rows, rows, generator=generator).to(device=device, dtype=dtype)


def _best_s(clock: Clock, call: Callable[[], object]) -> float:
    """Time a few calls after one that warms up, and return the fastest, in seconds."""
    call()
    clock.settle()
    return max(min(clock.block(call, 1).time_s for _ in range(BLOCKS)), 1e-12)
