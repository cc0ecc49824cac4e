"""How close every gradient comes to the truth: digits and units in the last place per case and number type.

Pure functions. At each point an input's gradient is held against the sharpest truth there is: an enclosure where there
is one, else the independent oracle that could have noticed the smallest error. Gradients that are zero have no digits.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

import pandas as pd

from harness.records import Finding, Outcome, Run, VerifyRecord
from harness.report import columns
from harness.report.tables import build, verify_records
from harness.verify.certificate import ORACLE

AVAILABLE = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}
"""Bits of each format's significand; 0.3 decimal digits each."""


def accuracy_frame(run: Run) -> pd.DataFrame:
    """Return one row per case, number type and device whose gradient was compared, the one that lost most first."""
    made = [row for record in verify_records(run) for row in _rows_of(record)]
    return build(sorted(made, key=lambda row: -lost_digits(row["dtype"], row["digits"], row["ulps"])), columns.ACCURACY)


def lost_digits(dtype: object, digits: object, ulps: object) -> float:
    """Return how many of a format's decimal digits a gradient lost; by units where there are no digits."""
    if digits is not None:
        return AVAILABLE.get(str(dtype), 53) * math.log10(2) - float(digits)  # type: ignore[arg-type]
    return math.log10(max(1.0, float(ulps))) if ulps is not None else 0.0  # type: ignore[arg-type]


def _rows_of(record: VerifyRecord) -> Iterable[dict[str, object]]:
    """Return a row per number type and device of one case."""
    by_place: defaultdict[tuple[str, str], defaultdict[tuple[object, ...], list[Finding]]]
    by_place = defaultdict(lambda: defaultdict(list))
    for finding in record.findings:
        if _counts(finding):
            by_place[finding.dtype, finding.device][finding.point, finding.dims, finding.input].append(finding)
    for (dtype, device), places in by_place.items():
        chosen = [min(found, key=_sharpness) for found in places.values()]
        worst = min(chosen, key=lambda finding: math.inf if finding.digits is None else finding.digits)
        units = [finding.ulps for finding in chosen if finding.ulps is not None]
        bits = [finding.radius_bits for finding in chosen]
        yield {
            "case": record.case,
            "path": record.path,
            "dtype": dtype,
            "device": device,
            "digits": worst.digits,
            "ulps": max(units, default=None),
            "radius_bits": None if None in bits else min(b for b in bits if b is not None),
            "oracle": ", ".join(sorted({finding.oracle or "" for finding in chosen})),
            "comparisons": len(chosen),
            "input": worst.input,
            "point": worst.point,
            "dims": worst.dims,
        }


def _counts(finding: Finding) -> bool:
    """Return whether a finding measures autograd's own gradient; in fewer bits, a float64 twin is as good as truth."""
    return (
        finding.order == 1
        and finding.input is not None
        and (finding.route or "").startswith("autograd")
        and finding.excused is None
        and finding.outcome in (Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE)
        and (finding.independent or (finding.dtype != "float64" and finding.oracle != "analytic"))
        and not (finding.digits is None and finding.ulps is None)
    )


def _sharpness(finding: Finding) -> tuple[bool, bool, float]:
    """Rank the truths of one gradient: enclosures, then independent oracles, then by what they could have noticed."""
    resolution = math.inf if finding.resolution is None else finding.resolution
    return finding.oracle != ORACLE, not finding.independent, resolution
