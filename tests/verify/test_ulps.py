"""Units in the last place: what one is, which entries count, and how they and certificates are put in words."""

import math

import pytest
import torch

from harness.oracle.estimate import Estimate
from harness.records import Finding, Outcome
from harness.verify.api import check
from harness.verify.certificate import certificate_text, radius_text, ulps_text
from harness.verify.ulps import BITS, largest_ulps, spacing


def tensor(*entries):
    return torch.tensor([entries], dtype=torch.float64)


def truth(value, *, bar=None, rigorous=True, **more):
    """An estimate, known exactly unless a bar is given."""
    bar = torch.zeros_like(value) if bar is None else bar
    return Estimate(value=value, bar=bar, oracle="test", origin="", independent=True, rigorous=rigorous, **more)


@pytest.mark.parametrize("dtype", BITS, ids=str)
def test_a_unit_is_the_distance_to_the_next_number(dtype):
    """From the smallest subnormal number to the largest, the unit must be the gap above a number of the format."""
    info = torch.finfo(dtype)
    numbers = torch.tensor(
        [0.0, info.smallest_normal / 4, info.smallest_normal, 0.75, 1.0, 1.5, -3.0, 1000.0], dtype=dtype
    )
    wide = numbers.to(torch.float64)
    above = torch.nextafter(numbers.abs(), torch.tensor(math.inf, dtype=dtype)).to(torch.float64)
    assert torch.equal(spacing(wide, dtype), above - wide.abs())
    largest = torch.tensor([info.max], dtype=torch.float64)
    below = torch.nextafter(largest.to(dtype), torch.zeros(1, dtype=dtype)).to(torch.float64)
    assert torch.equal(spacing(largest, dtype), largest - below)


def test_the_worst_entry_counts():
    """The result must be the largest error over the entries, each in units of its own truth."""
    value = tensor(1.0, 1024.0)
    assert largest_ulps(value + tensor(2.0**-52, 2.0**-41), truth(value), torch.float64) == 2


def test_truth_between_two_doubles_is_heeded():
    """A truth a third of a unit beside its double must leave a third of a unit to a correctly rounded result."""
    value = tensor(1.0)
    third = truth(value, bar=tensor(2.0**-52), tail=value * 2.0**-52 / 3)
    assert largest_ulps(value, third, torch.float64) == pytest.approx(1 / 3)


def test_coarser_formats_have_coarser_units():
    """The error of a float32 result must be counted in float32's units, whatever the bar of its comparison is."""
    value = tensor(1.0)
    wide = truth(value, bar=tensor(1e-3), rigorous=False)
    assert largest_ulps(value + 2.0**-22, wide, torch.float32) == 2


@pytest.mark.parametrize(
    "unknown",
    [
        {"value": tensor(math.nan)},
        {"value": tensor(math.inf)},
        {"value": tensor(1.0), "bar": tensor(math.inf)},
        {"value": tensor(1.0), "bar": tensor(1e-10)},
        {"value": tensor(1.0), "kink": torch.tensor([[True]])},
    ],
    ids=["no answer", "not finite", "unbounded", "wide", "kink"],
)
def test_entries_without_a_truth_do_not_count(unknown):
    """Where the truth is not known to a unit there must be no number of units."""
    assert largest_ulps(tensor(5.0), truth(**unknown), torch.float64) is None


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_a_result_that_is_not_finite_is_infinitely_far(odd):
    """NaN and infinity must not pass for a small error."""
    assert largest_ulps(tensor(1.0, odd), truth(tensor(1.0, 1.0)), torch.float64) == math.inf


def test_a_true_zero_has_the_smallest_unit():
    """At zero the unit must be the smallest subnormal number."""
    assert largest_ulps(tensor(1e-320), truth(tensor(0.0)), torch.float64) == 1e-320 / 5e-324
    assert largest_ulps(tensor(0.0), truth(tensor(0.0)), torch.float64) == 0


@pytest.mark.parametrize(
    ("ulps", "words"),
    [
        (0.0, "within 0.5 ULP"),
        (0.51, "within 1 ULP"),
        (1.01, "within 1.1 ULP"),
        (17.0534, "within 17.1 ULP"),
        (199.3, "within 200 ULP"),
        (123_456.0, "within 130,000 ULP"),
        (3.21e9, "within 3.3e+09 ULP"),
        (2.0**52, "without a right digit somewhere"),
        (math.inf, "without a right digit somewhere"),
        (math.nan, "without a right digit somewhere"),
    ],
)
def test_units_are_rounded_up_in_words(ulps, words):
    """A text must not claim more than the number does."""
    assert ulps_text(ulps) == words


def test_few_bits_run_out_of_digits_sooner():
    """For bfloat16, 128 units are the whole number."""
    assert ulps_text(127.0, "bfloat16") == "within 130 ULP"
    assert ulps_text(128.0, "bfloat16") == "without a right digit somewhere"


def test_a_radius_is_a_power_of_two():
    """The exponent must stand raised."""
    assert radius_text(80) == "± 2⁻⁸⁰"


def finding(**changes):
    base = {"outcome": Outcome.PASS, "oracle": "ball arithmetic", "route": "autograd", "ulps": 0.7, "radius_bits": 120}
    return Finding(check="a ~ b", message="", **{**base, **changes})


def test_a_certificate_is_as_good_as_its_worst_finding():
    """The widest enclosure and the most units must be the case's; the value's own units are not autograd's."""
    found = [finding(), finding(radius_bits=80, ulps=0.9), finding(order=0, route=None, ulps=40.0, radius_bits=100)]
    assert certificate_text(found) == "certified: value ± 2⁻⁸⁰, autograd within 1 ULP"


def test_what_says_nothing_is_left_out_of_a_certificate():
    """Other dtypes, excused failures, zero gradients and other oracles must not change it; no numbers leave a word."""
    others = [
        finding(dtype="float32", ulps=9.0),
        finding(excused="known", ulps=9.0),
        finding(oracle="symbolic", ulps=9.0),
        finding(outcome=Outcome.VACUOUS, ulps=1e300, radius_bits=None),
    ]
    assert certificate_text([finding(), *others]) == "certified: value ± 2⁻¹²⁰, autograd within 1 ULP"
    assert certificate_text([finding(ulps=None, radius_bits=None)]) == "certified"
    assert certificate_text(others[2:3]) is None


def test_a_finding_carries_its_certificate():
    """A gradient held against an enclosure must say how wide that is and how far autograd is off; others must not."""
    verdict = check(lambda x: torch.exp(x).sum(), {"x": torch.tensor([0.3, 1.7], dtype=torch.float64)}, probes=[])
    (own,) = [f for f in verdict.findings if f.check == "autograd ~ ball arithmetic"]
    assert own.radius_bits >= 60
    assert 0 <= own.ulps <= 1
    assert f"certified: value {radius_text(own.radius_bits)}, within" in own.message
    assert all(f.ulps is None for f in verdict.findings if f.oracle == "finite differences")
    assert verdict.message.startswith("certified: value ± 2⁻")


def test_a_wrong_gradient_is_many_units_off():
    """A failing finding must say its units too: a float32 constant in float64 is off by about 2^29 of them."""

    class Rounded(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            return x / 6

        @staticmethod
        def backward(context, upstream):
            return upstream * float(torch.tensor(1 / 6, dtype=torch.float32))

    verdict = check(Rounded.apply, {"x": torch.tensor(0.5, dtype=torch.float64)}, probes=[])
    (own,) = [f for f in verdict.findings if f.check == "autograd ~ ball arithmetic"]
    assert own.outcome is Outcome.FAIL
    assert 1e7 < own.ulps < 1e9
    assert "ULP" in own.message


def test_float32_is_counted_in_its_own_units():
    """A float32 gradient must have its units, counted against float64, and they must be few."""
    verdict = check(torch.exp, {"x": torch.tensor([0.3, 1.7])}, probes=[])
    units = [f.ulps for f in verdict.findings if f.dtype == "float32" and f.ulps is not None]
    assert units
    assert max(units) < 4
