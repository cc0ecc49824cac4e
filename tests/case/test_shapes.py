"""Shapes that do not fit are faults at a place, in plain words; what cannot be told from shapes is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from harness.case.evaluate import compiled
from harness.case.expression import FUNCTIONS, parse
from harness.case.load import read_cases
from harness.case.shape_words import FAILURES, NEEDS_DATA
from harness.case.shapes import shape_faults

CASE = """\
case: linear
title: A linear map
dims: {n: [1, 7], d: 3}
inputs:
  X: {shape: [n, d]}
  w: {shape: [d]}
  v: {shape: [n]}
  k: {shape: [n], draw: "integers(0, 3)"}
  m: {shape: [n], draw: mask}
  z: {type: complex}
"""


def _faults(folder: Path, rest: str) -> list[str]:
    """The faults of shape of CASE with some more keys, as ``line:column: message`` with lines counted in `rest`."""
    path = folder / "a.yaml"
    path.write_text(CASE + rest)
    cases, faults = read_cases([path])
    assert not faults, faults
    return [f"{fault.line - CASE.count(chr(10))}:{fault.column}: {fault.message}" for fault in shape_faults(cases)]


@pytest.mark.parametrize(
    ("function", "fault"),
    [
        ("sum(X @ v)", ("1:15: `X @ v` cannot be computed: `X` has shape [7, 3] and `v` has shape [7]; the last size "
         "of the left side (3) must be the first of the right (7); did you mean `X.T @ v`? (at n = 7, d = 3)")),
        ("sum(w @ X)", ("1:15: `w @ X` cannot be computed: `w` has shape [3] and `X` has shape [7, 3]; the last size "
         "of the left side (3) must be the next-to-last of the right (7); did you mean `w @ X.T`?")),
        ("sum(X @ X)", "1:15: `X @ X` cannot be computed: `X` has shape [7, 3]; the last size"),
        ("sum(X @ 2*w)", "1:15: `X @ 2` cannot be computed"),
        ("sum(matmul(v, w))", "1:15: `matmul(v, w)` cannot be computed: `v` has shape [7] and `w` has shape [3]"),
        ("sum(X)*sum(exp(v) + sin(w))", ("1:22: `exp(v) + sin(w)` cannot be computed: `exp(v)` has shape [7] and "
         "`sin(w)` has shape [3]; entry by entry, sizes must be equal")),
        ("sum(atan2(v, w))", "1:15: `atan2(v, w)` cannot be computed: `v` has shape [7] and `w` has shape [3]; entry"),
        ("sum(v, 1)", "1:11: `sum(v, 1)` cannot be computed: `v` has shape [7]; there is no dim 1; dims go from -1"),
        ("w[5]", "1:11: `w[5]` cannot be computed: `w` has shape [3]; there is no index 5 in dim 0, which has 3"),
        ("sum(w[:, 0])", "1:15: `w[:, 0]` cannot be computed: `w` has shape [3]; there are more indices"),
        ("sum(reshape(X, 5))", "1:15: `reshape(X, 5)` cannot be computed: `X` has shape [7, 3]; shape [5] does not"),
        ("sum(stack([v, w]))", "1:15: `stack([v, w])` cannot be computed: `v` has shape [7] and `w` has shape [3]; st"),
        ("sum(cat([X, w]))", "1:15: `cat([X, w])` cannot be computed: `X` has shape [7, 3] and `w` has shape [3]; cat"),
        ("det(X)", "1:11: `det(X)` cannot be computed: `X` has shape [7, 3]; a square matrix is needed, not one of 7"),
        ("sum(inv(v))", "1:15: `inv(v)` cannot be computed: `v` has shape [7]; a matrix is needed"),
        ("sum(expand(v, 2, d))", "1:15: `expand(v, 2, d)` cannot be computed: `v` has shape [7]; only sizes of 1"),
        ("sum(where(w, w, w))", "1:15: `where(w, w, w)` cannot be computed: `w` has shape [3]; the first argument"),
        ("sum(X[None].T)", "1:15: `X[None].T` cannot be computed: `X[None]` has shape [1, 7, 3]; cannot transpose"),
        ("sum(v // 2)", "1:15: `v // 2` cannot be computed: `v` has shape [7]; cannot apply FloorDiv to a tensor"),
        ("sum(w*k)", "1:15: `w*k` cannot be computed: `w` has shape [3] and `k` has shape [7]; entry by entry"),
        ("sum(r)\nlet: {r: v + w}", "2:10: `v + w` cannot be computed"),
    ],
)  # fmt: skip
def test_a_mismatch_names_the_part_the_shapes_and_the_sizes(tmp_path, function, fault):
    """One mismatch is one fault at the innermost part that cannot be computed, with the shapes that met there."""
    found = _faults(tmp_path, f"function: {function}\n")
    assert len(found) == 1, found
    assert found[0].startswith(fault)


@pytest.mark.parametrize(
    ("gradient", "fault"),
    [
        ("X: 2*w", "2:15: the gradient of X has shape [3], but X has shape [7, 3]; a gradient has the shape of its in"),
        ("w: X", ("2:15: the gradient of w has shape [7, 3], but w has shape [3]; sum it over what the input is "
         "broadcast along: sum(…, 0)")),
        ("w: v", "2:15: the gradient of w has shape [7], but w has shape [3]; a gradient has the shape of its input"),
        ("w: X @ v", "2:15: `X @ v` cannot be computed"),
    ],
)  # fmt: skip
def test_a_gradient_has_the_shape_of_its_input(tmp_path, gradient, fault):
    """A gradient of another shape than its input's is a fault where the gradient stands."""
    (found,) = _faults(tmp_path, f"function: sum(X @ w)\ngradient: {{{gradient}}}\n")
    assert found.startswith(fault)


def test_a_number_may_be_the_gradient_of_every_entry(tmp_path):
    """A gradient without dims stands for one that is equal everywhere."""
    assert _faults(tmp_path, "function: sum(X)\ngradient: {X: 1}\n") == []


def test_a_tensor_output_needs_the_cotangent(tmp_path):
    """The gradient of an output that is not one number must be a product with the cotangent."""
    (found,) = _faults(tmp_path, "function: X*w\ngradient: {X: w + 0*X}\n")
    assert found.startswith("2:15: the function's output has shape [7, 3], not a single number, so the gradient must")


def test_cotangents_have_the_shapes_of_the_outputs(tmp_path):
    """With several outputs, each cotangent is like its own output."""
    good = "function: [X @ w, sum(v)]\ngradient: {w: X.T @ cotangent_0, v: cotangent_1}\n"
    assert _faults(tmp_path, good) == []
    (found,) = _faults(tmp_path, good.replace("X.T @ cotangent_0", "X.T @ cotangent_1"))
    assert found.startswith(
        "2:15: `X.T @ cotangent_1` cannot be computed: `X.T` has shape [3, 7] and `cotangent_1` has"
    )


@pytest.mark.parametrize(
    ("function", "reference", "fault"),
    [
        ("X @ w", "X", "2:12: the reference has shape [7, 3], but the function has shape [7]; make them compute"),
        ("X @ w", "X @ v", "2:12: `X @ v` cannot be computed"),
        ("[sum(X), sum(w)]", "sum(X)", "2:12: the reference is one expression, but the function has 2 outputs"),
    ],
)
def test_a_reference_has_the_shape_of_the_function(tmp_path, function, reference, fault):
    """A reference that gives another shape than the function is a fault."""
    (found,) = _faults(tmp_path, f"function: {function}\nreference: {reference}\n")
    assert found.startswith(fault)


def test_a_mismatch_under_let_is_reported_once(tmp_path):
    """What depends on an intermediate value that cannot be computed is not reported again."""
    found = _faults(tmp_path, "let: {r: X @ v, s: r @ r}\nfunction: s\ngradient: {X: 2*r @ w}\n")
    assert [fault.split(" cannot")[0] for fault in found] == ["1:10: `X @ v`"]


def test_all_mismatches_of_a_case_come_at_once(tmp_path):
    """Independent mismatches are reported together, each where it stands."""
    found = _faults(tmp_path, "function: sum(X @ v)\ngradient: {X: 2*v, w: v}\nreference: X @ X\n")
    assert [fault.split(": ")[0] for fault in found] == ["1:15", "2:15", "2:23", "3:12"]


def test_a_descent_needs_one_number(tmp_path):
    """A descent on an output of several numbers is a fault, at the sizes of that descent."""
    text = "function: X @ w\nconverge:\n  - {options: {lr: 0.1}}\n  - {options: {lr: 0.1}, dims: {n: 1}}\n"
    assert _faults(tmp_path, text) == [
        "3:5: a descent needs an output of one number, not of shape [7]; reduce it with sum or mean (at n = 7, d = 3)"
    ]


def test_a_mismatch_at_some_sizes_only_is_found(tmp_path):
    """Every combination of sizes is tried: what fits at n = 7 may not fit at n = 1."""
    (found,) = _faults(tmp_path, "function: sum(v[1])\n")
    assert found.endswith("(at n = 1, d = 3)")


@pytest.mark.parametrize("function", ["v[m]", "v[argmax(v)]", "v[sum(k)]", "arange(sum(v))"])
def test_what_depends_on_values_is_left_to_the_run(tmp_path, function):
    """A shape or an index that only values decide is no fault here."""
    assert _faults(tmp_path, f"function: sum({function})\n") == []


@pytest.mark.parametrize(
    "function",
    ["sum(w)/(d - 3)", "sum(log(-abs(w)))", "logdet(zeros(3, 3)) + sum(w)", "real(z)*sum(w)", "nll_loss(X, k)"],
)
def test_numbers_cannot_go_wrong_here(tmp_path, function):
    """Only shapes and dtypes are looked at; integers, masks and complex numbers are what they are declared as."""
    assert _faults(tmp_path, f"function: {function}\n") == []


def test_an_expected_error_is_exempt(tmp_path):
    """A case that declares that it ends in an error may have shapes that do not fit."""
    expected = "expected: {outcome: error, match: size, reason: shown on purpose}\n"
    assert _faults(tmp_path, f"function: sum(X @ v)\n{expected}") == []


def test_cases_with_other_faults_do_no_harm(tmp_path):
    """Faults that the loader has reported are not reported again, and hide nothing of other parts."""
    path = tmp_path / "a.yaml"
    wrong = CASE + "function: sum(X @ v)\ngradient: {w: sni(w)}\nlet: {r: s}\n"
    path.write_text(wrong + "---\n" + CASE.replace("n: [1", "q: [1") + "function: sum(X @ v)\n")
    cases, faults = read_cases([path])
    assert faults
    assert [(fault.line, fault.column) for fault in shape_faults(cases)] == [(11, 15)]


def test_a_file_that_has_gone_still_gives_a_line(tmp_path):
    """Positions are read from the file again; without it, the line of the case is all there is."""
    path = tmp_path / "a.yaml"
    path.write_text("# first\n" + CASE + "function: sum(X @ v)\n")
    cases, _ = read_cases([path])
    path.unlink()
    assert [(fault.line, fault.column) for fault in shape_faults(cases)] == [(2, 1)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_what_fails_without_data_fails_with_it(name):
    """No function refuses, for their shape, tensors without data that it takes with data."""
    function = FUNCTIONS[name]
    lists = {1: "[a, b]"} if name in ("stack", "cat") else {1: "a", 2: "a, b", 3: "a, 0, b"}
    texts = [
        f"{name}({given})" for count, given in lists.items() if function.least <= count <= (function.most or count)
    ]
    shapes = ((), (3,), (3, 4), (3, 3), (2, 3, 4), (0,))
    for expression in (parse(text, names=["a", "b"]) for text in texts):
        for first in shapes:
            for second in shapes if "b" in expression.names else [()]:
                for kind in (torch.float64, torch.int64, torch.bool):
                    a, b = torch.ones(first, dtype=torch.float64), torch.ones(second, dtype=kind)
                    failed = _failure(expression, a.to("meta"), b.to("meta"))
                    assert failed is None or _failure(expression, a, b) is not None, (expression.text, first, second)


def _failure(expression, a, b):
    """The error of an evaluation that a fault would be made of, or None."""
    try:
        compiled(expression)({"a": a, "b": b})
    except NotImplementedError as error:
        return error if a.device.type == "cpu" else None
    except FAILURES as error:
        return None if NEEDS_DATA in str(error) else error
    return None


class Computed(TorchDispatchMode):
    """Counts the numbers that operations make, and those they only describe."""

    def __init__(self):
        super().__init__()
        self.real, self.described = 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for each in tree_leaves(out):
            if isinstance(each, torch.Tensor) and each.device.type == "meta":
                self.described += each.numel()
            elif isinstance(each, torch.Tensor):
                self.real += each.numel()
        return out


def test_shipped_cases_fit_and_nothing_is_computed():
    """Every shipped case is free of faults of shape, which is told from tensors that hold no numbers."""
    cases, faults = read_cases([Path(__file__).parents[2] / "cases"])
    with Computed() as computed:
        assert (faults, shape_faults(cases)) == ((), ())
    assert computed.real == 0 < computed.described
