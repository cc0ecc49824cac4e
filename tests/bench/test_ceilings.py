"""Ceilings: rates from the clock's times and the sizes alone, on any device that has a clock."""

from dataclasses import dataclass, field

import pytest
import torch

from harness.bench import ceilings
from harness.bench.block import Block
from harness.bench.ceilings import BLOCKS, FEWEST_ROWS, MOST_ROWS, measure_ceilings

MEBIBYTE = 2**20


@dataclass
class TimedClock:
    """A clock whose blocks take the times it is given, in turn; the last one for ever."""

    times: list[float]
    name: str = "cpu"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    blocks: int = 0
    calls: int = 0

    def now_s(self):
        """Stand still."""
        return 0.0

    def block(self, call, calls):
        """Take the next time; only a copy is really made."""
        self.blocks += 1
        self.calls += calls
        return Block(time_s=self.times.pop(0) if len(self.times) > 1 else self.times[0])

    def settle(self):
        """Do nothing."""


def test_rates_are_work_over_time():
    """A copy reads and writes each byte; a product of n × n matrices takes 2·n³ operations."""
    single, double = measure_ceilings(TimedClock([0.5]), copy_bytes=MEBIBYTE)
    assert (single.dtype, double.dtype) == ("float32", "float64")
    assert single.bytes_per_s == double.bytes_per_s == 2 * MEBIBYTE / 0.5
    assert single.flops_per_s == 2 * FEWEST_ROWS**3 / 0.5
    assert (single.device, single.threads, single.copy_bytes) == ("cpu", torch.get_num_threads(), MEBIBYTE)


def test_the_best_block_counts():
    """Blocks that were held up say nothing about the device."""
    (measured,) = measure_ceilings(TimedClock([0.9, 0.1, 0.5, 0.3]), (torch.float32,), copy_bytes=MEBIBYTE)
    assert measured.bytes_per_s == 2 * MEBIBYTE / 0.1
    assert measured.flops_per_s == 2 * FEWEST_ROWS**3 / 0.3


def test_matrices_grow_until_a_product_is_long_enough():
    """Short blocks double the rows; there is a largest size."""
    short = [1e-3] * BLOCKS
    (measured,) = measure_ceilings(TimedClock([*short, *short, *short, 1.0]), (torch.float32,), copy_bytes=MEBIBYTE)
    assert measured.matrix_rows == 4 * FEWEST_ROWS
    assert measured.matrix_rows < MOST_ROWS


def test_there_is_a_largest_matrix(monkeypatch):
    """A device that is never slow enough ends the search at the bound."""
    monkeypatch.setattr(ceilings, "MOST_ROWS", 2 * FEWEST_ROWS)
    (measured,) = measure_ceilings(TimedClock([1e-9]), (torch.float32,), copy_bytes=MEBIBYTE)
    assert measured.matrix_rows == 2 * FEWEST_ROWS


@pytest.mark.parametrize(("free", "size"), [(20 * MEBIBYTE, MEBIBYTE), (None, 4 * MEBIBYTE)])
def test_a_copy_leaves_memory_to_others(monkeypatch, free, size):
    """Where memory is short a tenth of it is enough; where nobody knows, the whole size is taken."""
    monkeypatch.setattr(ceilings, "free_bytes", lambda device: free)
    (measured,) = measure_ceilings(TimedClock([1.0]), (torch.float32,), copy_bytes=4 * MEBIBYTE)
    assert measured.copy_bytes == size
