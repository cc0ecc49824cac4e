"""Planted faults are named, and wrong gradients without a pattern are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from harness.verify.diagnosis import Evidence, diagnose

BAR = 1e-11


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A wrong gradient and what to call it."""

    name: str
    pattern: str
    evidence: Evidence
    says: str = ""


def normal(*shape: int, seed: int) -> Tensor:
    """Standard normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def truth(
    function: Callable[..., Tensor],
    inputs: dict[str, Tensor],
    of: str,
    *,
    seed: int = 0,
    sizes: dict[str, int] | None = None,
) -> Evidence:
    """Evidence whose gradient is still right: true gradients of a function for two cotangents."""
    names = list(inputs)
    leaves = {name: value.clone().requires_grad_(value.is_floating_point()) for name, value in inputs.items()}
    output = function(**leaves)
    count = 1 if output.ndim == 0 else 2
    cotangents = (
        torch.ones(1, 1, dtype=torch.float64) if output.ndim == 0 else normal(count, output.numel(), seed=seed + 77)
    )
    wanted = [name for name in names if leaves[name].requires_grad]

    def pulled(others: Tensor) -> dict[str, Tensor]:
        rows = [
            torch.autograd.grad(output, [leaves[n] for n in wanted], row.reshape(output.shape), retain_graph=True)
            for row in others
        ]
        return {n: torch.stack([row[i].reshape(-1) for row in rows]) for i, n in enumerate(wanted)}

    gradients = pulled(cotangents)
    expected = gradients[of]
    return Evidence(
        actual=expected.clone(),
        expected=expected,
        bar=torch.full_like(expected, BAR),
        shape=tuple(inputs[of].shape),
        name=of,
        value=inputs[of].reshape(-1),
        inputs={name: value for name, value in inputs.items() if value.is_floating_point()},
        others={n: (tuple(inputs[n].shape), gradients[n]) for n in wanted if n != of},
        sizes=sizes or {},
        outputs=(tuple(output.shape),),
        cotangents=cotangents,
        pull=lambda others: pulled(others)[of],
    )


def matmul(seed: int = 0) -> Evidence:
    """A square product: gradient of its left factor."""
    return truth(lambda a, b: a @ b, {"a": normal(4, 4, seed=seed), "b": normal(4, 4, seed=seed + 1)}, "a")


def bilinear(of: str = "a", seed: int = 0) -> Evidence:
    """Σ (a·b)·sin a, where the two inputs have one shape."""
    return truth(
        lambda a, b: (a * b * a.sin()).sum(), {"a": normal(5, 3, seed=seed), "b": normal(5, 3, seed=seed + 1)}, of
    )


def elementwise(count: int = 40, seed: int = 0) -> Evidence:
    """Softplus of every entry."""
    return truth(torch.nn.functional.softplus, {"input": 2 * normal(count, seed=seed)}, "input", sizes={"n": count})


def bias(seed: int = 0) -> Evidence:
    """A bias added to every row of a matrix, then squared."""
    return truth(
        lambda x, b: (x + b) ** 2,
        {"x": normal(6, 5, seed=seed), "b": normal(5, seed=seed + 1)},
        "b",
        sizes={"rows": 6, "d": 5},
    )


def rows(seed: int = 0) -> Evidence:
    """A loss per row."""
    return truth(lambda z: z.logsumexp(1), {"z": normal(6, 5, seed=seed)}, "z")


def least_squares(seed: int = 0) -> Evidence:
    """Mean of squared residuals, with respect to the weights."""
    inputs = {"X": normal(7, 3, seed=seed), "y": normal(7, seed=seed + 1), "w": normal(3, seed=seed + 2)}
    return truth(lambda X, y, w: ((X @ w - y) ** 2).mean(), inputs, "w", sizes={"n": 7, "d": 3})  # noqa: N803


def broken(evidence: Evidence, actual: Tensor) -> Evidence:
    """The evidence with another gradient in place of the right one."""
    return replace(evidence, actual=actual.reshape(evidence.expected.shape))


def pulled(evidence: Evidence, cotangents: Tensor) -> Tensor:
    """The true gradient for other cotangents."""
    found = None if evidence.pull is None else evidence.pull(cotangents)
    assert found is not None
    return found


def planted() -> Iterator[Planted]:
    """Every planted fault."""
    yield from _factors()
    yield from _arrangements()
    yield from _cotangents()
    yield from _places()


def _factors() -> Iterator[Planted]:
    subjects = {
        "matmul": matmul(),
        "bilinear": bilinear(),
        "softplus": elementwise(),
        "rss": least_squares(),
        "bias": bias(),
    }
    for name, evidence in subjects.items():
        true = evidence.expected
        yield Planted(name=f"{name} × 2", pattern="factor", evidence=broken(evidence, 2 * true), says="2 too many")
        yield Planted(
            name=f"{name} × ½", pattern="factor", evidence=broken(evidence, true / 2), says="missing factor 2"
        )
        yield Planted(name=f"{name} × −1", pattern="sign", evidence=broken(evidence, -true), says="sign")
        yield Planted(name=f"{name} × 0", pattern="zero", evidence=broken(evidence, 0 * true), says="cut")
    rss, row = least_squares(), bias()
    yield Planted(
        name="rss × n", pattern="factor", evidence=broken(rss, 7 * rss.expected), says="a sum instead of a mean"
    )
    yield Planted(name="rss / n", pattern="factor", evidence=broken(rss, rss.expected / 7), says="1/n: a mean instead")
    yield Planted(name="bias / rows", pattern="factor", evidence=broken(row, row.expected / 6), says="1/rows")
    yield Planted(
        name="rss n/(n−1)", pattern="factor", evidence=broken(rss, rss.expected * 7 / 6), says="n − 1 instead of n"
    )
    yield Planted(name="× 1.001", pattern="factor", evidence=broken(row, row.expected * 1.001), says="1.001")
    soft = elementwise()
    yield Planted(
        name="× ln 2", pattern="factor", evidence=broken(soft, soft.expected * 0.6931471805599453), says="ln 2"
    )


def _arrangements() -> Iterator[Planted]:
    square, pair = matmul(3), bilinear(seed=4)
    matrix = square.expected.reshape(-1, 4, 4)
    yield Planted(name="transpose", pattern="transpose", evidence=broken(square, matrix.mT))
    oblong = pair.expected.reshape(-1, 5, 3)
    yield Planted(name="transposed memory", pattern="transpose", evidence=broken(pair, oblong.mT))
    yield Planted(name="flip rows", pattern="flip", evidence=broken(pair, oblong.flip(1)))
    yield Planted(name="shift", pattern="shift", evidence=broken(square, matrix.roll(1, 2)))
    for other in ("a", "b"):
        evidence = bilinear(other, seed=6)
        wrong = next(iter(evidence.others.values()))[1]
        yield Planted(name=f"swapped {other}", pattern="swapped", evidence=broken(evidence, wrong))
    yield Planted(name="absolute", pattern="sign", evidence=broken(pair, pair.expected.abs()))
    soft = elementwise(12, seed=2)
    yield Planted(
        name="permuted",
        pattern="permutation",
        evidence=broken(soft, soft.expected[:, [3, 0, 1, 2, 5, 4, 7, 11, 8, 6, 10, 9]]),
    )
    assert soft.value is not None
    order = soft.value.argsort()
    yield Planted(name="sorted", pattern="permutation", evidence=broken(soft, soft.expected[:, order]), says="sort")
    yield Planted(
        name="one head for all",
        pattern="one slice",
        evidence=broken(pair, oblong[:, :1].expand_as(oblong)),
        says="slice along axis 0",
    )


def _cotangents() -> Iterator[Planted]:
    for name, evidence in (("softplus", elementwise(9, seed=5)), ("logsumexp", rows(7)), ("bias", bias(8))):
        assert evidence.cotangents is not None
        g = evidence.cotangents
        for kind, wrong in (("ignored", torch.ones_like(g)), ("first", g[:, :1].expand_as(g))):
            for known in (True, False):
                if not known and name == "bias":
                    continue  # the output does not line up with the bias, so nothing predicts this
                found = broken(evidence, pulled(evidence, wrong))
                found = found if known else replace(found, pull=None)
                yield Planted(name=f"{name} cotangent {kind} {known}", pattern="cotangent", evidence=found)
    row = bias(9)
    assert row.cotangents is not None
    kept = row.cotangents.reshape(-1, 6, 5).clone()
    kept[:, 1:] = 0
    yield Planted(
        name="bias not summed",
        pattern="not summed",
        evidence=broken(row, pulled(row, kept.reshape(2, 30))),
        says="first slice",
    )


def _places() -> Iterator[Planted]:
    soft = elementwise(40, seed=11)
    assert soft.value is not None
    x = soft.value
    for name, mask, factor in (("above", x > 1, 0.0), ("below", x < -1, -1.0), ("large", x.abs() > 2.5, 2.0)):
        wrong = torch.where(mask, factor * soft.expected, soft.expected)
        yield Planted(name=f"threshold {name}", pattern="threshold", evidence=broken(soft, wrong), says="t from")
    long = elementwise(67, seed=12)
    wrong = long.expected.clone()
    wrong[:, 64:] = 0
    yield Planted(name="tail of 67", pattern="tail", evidence=broken(long, wrong), says="multiple of 64")
    matrix = truth(lambda x: (x**3).sum(0), {"x": normal(9, 5, seed=13)}, "x")
    wrong = matrix.expected.clone()
    wrong[:, 40:] *= 2
    yield Planted(
        name="tail of rows", pattern="tail", evidence=broken(matrix, wrong), says="last 1 of 9 places along axis 0"
    )
    wrong = matrix.expected.reshape(-1, 9, 5).clone()
    wrong[:, :, 1] += normal(9, seed=14)
    yield Planted(name="a column", pattern="slice", evidence=broken(matrix, wrong), says="index 1 of axis 1")
    value = x.clone()
    value[[3, 9, 20, 31]] = 0.0
    zeros = truth(torch.nn.functional.softplus, {"input": value}, "input")
    wrong = torch.where(value == 0, 3 * zeros.expected, zeros.expected)
    yield Planted(name="at zeros", pattern="zeros", evidence=broken(zeros, wrong), says="where input is zero")
    wrong = torch.where(value == 0, torch.nan, zeros.expected)
    yield Planted(
        name="NaN at zeros",
        pattern="NaN",
        evidence=broken(zeros, wrong),
        says="exactly the entries where input is zero",
    )
    value = x.clone()
    value[[3, 9]], value[[20, 31]] = value[5].clone(), value[6].clone()
    tied = truth(lambda input: input.sin(), {"input": value}, "input")  # noqa: A006 - the name is the input's
    mask = torch.zeros(40, dtype=torch.bool)
    mask[[3, 9, 5, 20, 31, 6]] = True
    yield Planted(
        name="at ties", pattern="ties", evidence=broken(tied, torch.where(mask, 0.3 * tied.expected, tied.expected))
    )
    wrong = matrix.expected.reshape(-1, 9, 5).clone()
    wrong[:, ::2, ::2] *= -1
    yield Planted(name="scattered signs", pattern="some entries", evidence=broken(matrix, wrong), says="it is −1 ×")
    small = truth(lambda x: (x**3).sum(0), {"x": normal(3, 2, seed=21)}, "x")
    wrong = small.expected.reshape(-1, 3, 2) * torch.tensor([-1.0, 1.0], dtype=torch.float64)
    yield Planted(name="sign of a column", pattern="slice", evidence=broken(small, wrong), says="index 0 of axis 1")
    big = truth(lambda x: x.sigmoid() + x.sin(), {"x": 8 * normal(40, seed=16)}, "x")
    assert big.value is not None
    wrong = torch.where(big.value > 10, 0.1 * big.expected + 1, big.expected)
    yield Planted(name="saturated", pattern="saturated", evidence=broken(big, wrong), says="saturates")
    wrong = soft.expected.clone()
    wrong[:, 17] += 1
    yield Planted(name="one entry", pattern="one entry", evidence=broken(soft, wrong))


FAULTS = list(planted())
SUBJECTS: dict[str, Callable[[int], Evidence]] = {
    "matmul": matmul,
    "bilinear": lambda seed: bilinear(seed=seed),
    "softplus": lambda seed: elementwise(13, seed=seed),
    "bias": bias,
    "logsumexp": rows,
    "rss": least_squares,
}


def test_there_are_enough_faults() -> None:
    """The measurement below rests on many faults with names that are all different."""
    assert len(FAULTS) >= 50
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_named(fault: Planted) -> None:
    """The diagnosis must name the pattern that was planted, with its evidence in the sentence."""
    found = diagnose(fault.evidence)
    assert found is not None
    assert found.pattern == fault.pattern
    assert fault.says in found.text


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_coarse_bar_gives_the_same_name_or_none(fault: Planted) -> None:
    """With bars a hundred thousand times wider the evidence shrinks; it must never turn into another pattern."""
    coarse = replace(fault.evidence, bar=torch.full_like(fault.evidence.bar, 1e5 * BAR))
    found = diagnose(coarse)
    assert found is None or found.pattern == fault.pattern


def noise(evidence: Evidence, seed: int) -> Tensor:
    """Random numbers like the true gradient in size."""
    return normal(*evidence.expected.shape, seed=1000 + seed)


def subset(evidence: Evidence, seed: int) -> Tensor:
    """Random entries, at least two, off by random amounts."""
    picks = torch.randperm(evidence.count, generator=torch.Generator().manual_seed(seed))[: max(2, evidence.count // 3)]
    wrong = evidence.expected.clone()
    wrong[:, picks] += 0.1 * noise(evidence, seed)[:, picks]
    return wrong


PATTERNLESS: dict[str, Callable[[Evidence, int], Tensor]] = {
    "unrelated numbers": noise,
    "some per cent of noise": lambda e, seed: e.expected * (1 + 0.05 * noise(e, seed)),
    "a factor of its own for every entry": lambda e, seed: e.expected * noise(e, seed)[:1].abs(),
    "added noise": lambda e, seed: e.expected + 1e-4 * noise(e, seed),
    "a square": lambda e, seed: e.expected**2 + 0.1 * seed,
    "some entries": subset,
}


@pytest.mark.parametrize("kind", PATTERNLESS)
@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("seed", range(6))
def test_a_gradient_without_a_pattern_gets_no_name(kind: str, subject: str, seed: int) -> None:
    """Random mistakes have no pattern: none may be claimed."""
    evidence = SUBJECTS[subject](100 * seed)
    assert diagnose(broken(evidence, PATTERNLESS[kind](evidence, seed))) is None


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_right_gradient_gets_no_words(subject: str) -> None:
    """There is nothing to say about agreement."""
    assert diagnose(SUBJECTS[subject](0)) is None


def test_one_entry_at_a_round_value_is_too_little() -> None:
    """2x and x² agree up to a factor at x = 1, so a published point like that must not name a factor."""
    one = torch.ones(1, 1, dtype=torch.float64)
    evidence = Evidence(
        actual=one, expected=2 * one, bar=BAR * one, shape=(1,), value=one[0], strict=True, inputs={"x": one[0]}
    )
    assert diagnose(evidence) is None
    assert diagnose(replace(evidence, value=0.7311 * one[0], strict=False)) is not None


def test_equal_entries_at_a_special_point_count_once() -> None:
    """At a point of ones every entry says the same, so an odd factor there is no pattern."""
    ones = torch.ones(1, 30, dtype=torch.float64)
    evidence = Evidence(actual=1.37 * ones, expected=ones, bar=BAR * ones, shape=(30,), value=ones[0], strict=True)
    assert diagnose(evidence) is None


def test_unknown_entries_are_neither_evidence_nor_objection() -> None:
    """Where the oracle has no answer, an entry cannot contradict a pattern nor support it."""
    evidence = elementwise(9)
    bar = evidence.bar.clone()
    bar[:, 4] = torch.inf
    found = diagnose(replace(broken(evidence, 2 * evidence.expected), bar=bar))
    assert found is not None
    assert found.pattern == "factor"
    bar[:] = torch.inf
    assert diagnose(replace(broken(evidence, 2 * evidence.expected), bar=bar)) is None


def test_two_names_of_one_number_are_both_told() -> None:
    """A factor 2 where n is 2 has two likely names."""
    evidence = replace(elementwise(9), sizes={"n": 2})
    found = diagnose(broken(evidence, 0.5 * evidence.expected))
    assert found is not None
    assert "a missing factor 2? Or 1/n" in found.text


def test_a_conjugate_is_named() -> None:
    """The gradient of a complex input in the other convention is told from a transposed one."""
    real = elementwise(10)
    evidence = replace(real, complex=True, shape=(5, 2), pull=None, cotangents=None)
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(5)
    found = diagnose(broken(evidence, evidence.expected * signs))
    assert found is not None
    assert found.pattern == "conjugate"


@pytest.mark.parametrize("factor", [0.5, -1.0])
def test_projections_on_directions_show_factors(factor: float) -> None:
    """Where only projections are known, a factor is still seen, and nothing about places is said."""
    values = normal(2, 4, seed=5)
    evidence = Evidence(actual=factor * values, expected=values, bar=torch.full_like(values, BAR), shape=(4,), name="")
    found = diagnose(evidence)
    assert found is not None
    assert "4/4 directions" in found.text
