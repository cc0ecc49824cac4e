"""Writes `docs/planted-optimizers.md`: every faulty optimizer of the tests, and the first check that notices it.

Run: PYTHONPATH=tests/optimizers python docs/planted_optimizers.py
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import planted
from test_planted_optimizers import first_fault

TARGET = Path(__file__).with_name("planted-optimizers.md")

HEAD = """\
# Planted optimizers

<!-- Written by docs/planted_optimizers.py; do not edit. -->

Optimizers with one fault each, what they claim to be, and the first check that notices. [Optimizers](optimizers.md)
says what the checks are; `tests/optimizers/` has the code.

{caught} of {count} are caught. Eight correct optimizers that are written another way than PyTorch's raise no alarm.

| claims to be | fault | noticed by |
|---|---|---|
"""


def main() -> None:
    """Run the checks on every faulty optimizer and write the table."""
    found = [(one, first_fault(one.make, one.like)) for one in sorted(planted.TABLE, key=lambda one: one.like)]
    rows = []
    for like, group in groupby(found, key=lambda pair: pair[0].like):
        rows += [f"| {like} | {one.what} | {'—' if fault is None else fault.check} |\n" for one, fault in group]
    caught = sum(fault is not None for _, fault in found)
    text = HEAD.format(caught=caught, count=len(found)) + "".join(rows)
    TARGET.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
