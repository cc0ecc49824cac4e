"""The shipped kernels: right as they are, and red when their backward is broken in any of three ways."""

from __future__ import annotations

import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.case.load import load_cases
from harness.case.subject import Input, Point, Subject
from harness.records import Finding, Outcome
from harness.verify.api import Verdict, check
from harness.verify.first import first_order
from harness.verify.options import VerifyOptions
from harness.verify.scene import Labels, Scene

FOLDER = Path(__file__).resolve().parent.parent / "cases" / "kernels"
CASES = {case.id: case for case in load_cases([FOLDER])}


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """A kernel's file, its function with its plain form, what to call them with, and three ways to break it."""

    file: str
    function: str
    plain: str
    inputs: dict[str, Any]
    sign: tuple[str, str]
    factor: tuple[str, str]
    dropped: tuple[str, str]


LABELS = torch.tensor([2, 0, -100, 1, 3])
KERNELS = {
    "fused-cross-entropy-rows": Kernel(
        file="losses",
        function="cross_entropy_rows",
        plain="plain_rows",
        inputs={"z": Input(shape=(5, 4)), "labels": LABELS},
        sign=("torch.exp(z - lse[:, None])\n        grad -=", "torch.exp(z - lse[:, None])\n        grad +="),
        factor=("grad.scatter_add_(1, picks, ", "grad.scatter_add_(1, picks, 2 * "),
        dropped=("grad -= SMOOTHING / z.shape[1]", "pass"),
    ),
    "fused-cross-entropy-mean": Kernel(
        file="losses",
        function="cross_entropy",
        plain="plain_mean",
        inputs={"z": Input(shape=(5, 4)), "labels": LABELS},
        sign=("torch.where(kept, _wide(grad_out), 0.0)", "torch.where(kept, -_wide(grad_out), 0.0)"),
        factor=("torch.where(kept, _wide(grad_out), 0.0)", "torch.where(kept, _wide(grad_out) / len(kept), 0.0)"),
        dropped=("torch.where(kept, _wide(grad_out), 0.0)", "_wide(grad_out)"),
    ),
    "fused-rms-norm": Kernel(
        file="normalisation",
        function="rms_norm",
        plain="plain_rms_norm",
        inputs={"x": Input(shape=(3, 5)), "weight": Input(shape=(5,))},
        sign=("(inner - normed * along)", "(inner + normed * along)"),
        factor=(
            "(inner * normed).mean(-1, keepdim=True)\n            grad_x = (scale * (inner - normed",
            "(inner * normed).sum(-1, keepdim=True)\n            grad_x = (scale * (inner - normed",
        ),
        dropped=("(inner - normed * along)", "inner"),
    ),
    "fused-group-norm": Kernel(
        file="normalisation",
        function="group_norm",
        plain="plain_group_norm",
        inputs={"x": Input(shape=(2, 4, 3)), "weight": Input(shape=(4,)), "bias": Input(shape=(4,))},
        sign=("grad_bias = upstream", "grad_bias = -upstream"),
        factor=(
            "(upstream * normed.reshape(x.shape)).sum((0, 2))",
            "(upstream * normed.reshape(x.shape)).mean((0, 2))",
        ),
        dropped=("inner - inner.mean(-1, keepdim=True) - normed", "inner - normed"),
    ),
    "fused-swiglu": Kernel(
        file="activations",
        function="swiglu",
        plain="plain_swiglu",
        inputs={"gate": Input(shape=(3, 4)), "up": Input(shape=(3, 4))},
        sign=("1 + wide * torch.sigmoid(-wide)", "1 - wide * torch.sigmoid(-wide)"),
        factor=("grad_up = (upstream * wide", "grad_up = (2 * upstream * wide"),
        dropped=("share * (1 + wide * torch.sigmoid(-wide))", "share"),
    ),
    "soft-clamp": Kernel(
        file="activations",
        function="soft_clamp",
        plain="plain_soft_clamp",
        inputs={"x": Input(shape=(7,))},
        sign=("(_wide(grad_out) * slope)", "(-_wide(grad_out) * slope)"),
        factor=("torch.sigmoid(-high) * width", "torch.sigmoid(-high)"),
        dropped=("torch.sigmoid(low) * torch.sigmoid(-high)", "torch.sigmoid(low)"),
    ),
    "rotary-embedding": Kernel(
        file="attention",
        function="rotary",
        plain="plain_rotary",
        inputs={"x": Input(shape=(2, 3, 4))},
        sign=("Rotary.apply(grad_out, -ctx.direction)", "Rotary.apply(grad_out, ctx.direction)"),
        factor=("Rotary.apply(grad_out, -ctx.direction)", "2 * Rotary.apply(grad_out, -ctx.direction)"),
        dropped=("Rotary.apply(grad_out, -ctx.direction)", "grad_out.clone()"),
    ),
    "causal-attention": Kernel(
        file="attention",
        function="attention",
        plain="plain_attention",
        inputs={name: Input(shape=(1, 18, 2)) for name in "qkv"},
        sign=("upstream @ values.mT - along", "upstream @ values.mT + along"),
        factor=("= scale * grad_scores.mT @ queries", "= grad_scores.mT @ queries"),
        dropped=("grad_q += scale", "grad_q = scale"),
    ),
    "scatter-mean": Kernel(
        file="sampling",
        function="scatter_mean",
        plain="plain_scatter_mean",
        inputs={"rows": Input(shape=(5, 2)), "cell": torch.tensor([0, 3, 0, 1, 0])},
        sign=("_wide(grad_out)[cell]", "-_wide(grad_out)[cell]"),
        factor=("_wide(grad_out)[cell] / count[cell][:, None]", "_wide(grad_out)[cell] / len(cell)"),
        dropped=("_wide(grad_out)[cell] / count[cell][:, None]", "_wide(grad_out)[cell]"),
    ),
    "embedding-bag": Kernel(
        file="sampling",
        function="embedding_bag",
        plain="plain_embedding_bag",
        inputs={
            "table": Input(shape=(4, 3)),
            "weights": Input(shape=(2, 3)),
            "picks": torch.tensor([[0, 2, 2], [3, 0, 2]]),
        },
        sign=("(_wide(table)[picks] * upstream", "(-_wide(table)[picks] * upstream"),
        factor=("upstream[:, None] * _wide(weights)[..., None]", "upstream[:, None].expand(*picks.shape, -1)"),
        dropped=(
            "grad_table.index_add_(0, picks.reshape(-1), parts.reshape(picks.numel(), table.shape[1]))",
            "grad_table[picks.reshape(-1)] = parts.reshape(picks.numel(), table.shape[1])",
        ),
    ),
    "grid-sample": Kernel(
        file="sampling",
        function="grid_sample",
        plain="plain_grid_sample",
        inputs={"image": Input(shape=(2, 3, 4)), "places": Input(shape=(3, 2), draw="uniform(-0.9, 0.9)")},
        sign=("here * x_sign * y_share", "-here * x_sign * y_share"),
        factor=("grad_y * height / 2", "grad_y * height"),
        dropped=("upstream * (inside * x_share * y_share)", "upstream * (inside * x_share)"),
    ),
}


def module(kernel: Kernel, change: tuple[str, str] | None = None) -> types.ModuleType:
    """The kernel's file as a fresh module, with one piece of its backward replaced."""
    source = (FOLDER / f"{kernel.file}.py").read_text(encoding="utf-8")
    if change is not None:
        assert source.count(change[0]) == 1, f"{change[0]!r} is there {source.count(change[0])} times"
        source = source.replace(*change)
    made = types.ModuleType(f"kernel_{kernel.file}")
    exec(compile(source, f"{kernel.file}.py", "exec"), made.__dict__)
    return made


def checked(kernel: Kernel) -> Verdict:
    """The verdict on a kernel as it is, in float64."""
    made = module(kernel)
    return check(
        getattr(made, kernel.function),
        kernel.inputs,
        reference=getattr(made, kernel.plain),
        name=kernel.function,
        effort="quick",
    )


def findings(kernel: Kernel, change: tuple[str, str]) -> tuple[Finding, ...]:
    """What the first-order checks find of a broken kernel at one point."""
    made = module(kernel, change)
    function, plain = getattr(made, kernel.function), getattr(made, kernel.plain)
    values = numbers(kernel, torch.float64)
    subject = Subject(
        name=kernel.function,
        inputs={key: Input(shape=tuple(v.shape), grad=v.is_floating_point()) for key, v in values.items()},
        function=lambda tensors: (function(**tensors),),
        reference=lambda tensors: (plain(**tensors),),
    )
    point = Point(name="random 0", values=values, sizes={}, seed=0)
    scene = Scene(subject, point, Labels(case=kernel.function, seed=0, device="cpu"))
    return first_order(scene, None, VerifyOptions(certify=False)).findings


def numbers(kernel: Kernel, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Inputs for a kernel: what is given, and drawn numbers between −0.9 and 0.9."""
    generator = torch.Generator().manual_seed(0)
    return {
        key: value
        if isinstance(value, torch.Tensor)
        else (torch.rand(value.shape, generator=generator, dtype=torch.float64) * 1.8 - 0.9).to(dtype)
        for key, value in kernel.inputs.items()
    }


def test_every_shipped_kernel_is_broken_here() -> None:
    """A kernel's case without mutations would have no proof that it can fail."""
    assert set(KERNELS) == set(CASES)
    assert len(KERNELS) >= 8


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_is_right(name: str) -> None:
    """Each kernel's gradient must agree with finite differences and with its plain form."""
    verdict = checked(KERNELS[name])
    assert verdict.outcome is Outcome.PASS, verdict.message


@pytest.mark.parametrize("way", ["sign", "factor", "dropped"])
@pytest.mark.parametrize("name", KERNELS)
def test_a_broken_kernel_fails(name: str, way: str) -> None:
    """A wrong sign, a wrong factor and a dropped term in the backward must each fail against values and plain form."""
    kernel = KERNELS[name]
    failing = {f.oracle for f in findings(kernel, getattr(kernel, way)) if f.outcome is Outcome.FAIL}
    assert failing >= {"finite differences", "reference"}


@pytest.mark.parametrize("name", KERNELS)
def test_layouts_do_not_matter(name: str) -> None:
    """A transposed input and a stride-0 or transposed upstream gradient must not change gradients."""
    kernel = KERNELS[name]
    function = getattr(module(kernel), kernel.function)
    plain = numbers(kernel, torch.float32)
    strided = {key: _elsewhere(value) if value.is_floating_point() else value for key, value in plain.items()}
    found = []
    for given in (plain, strided):
        leaves = {key: v.detach().requires_grad_(v.is_floating_point()) for key, v in given.items()}
        output = function(**leaves)
        upstream = torch.full_like(output, 0.75) if given is plain else torch.tensor(0.75).expand(output.shape)
        wanted = [leaf for leaf in leaves.values() if leaf.requires_grad]
        found.append(torch.autograd.grad(output, wanted, upstream))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["fused-cross-entropy-rows", "fused-rms-norm", "fused-swiglu", "scatter-mean"])
def test_nothing_to_do_is_no_error(name: str) -> None:
    """A batch of no rows must give gradients of no rows."""
    kernel = KERNELS[name]
    empty = {
        key: (value[:0] if isinstance(value, torch.Tensor) else torch.zeros(0, *value.shape[1:]))
        if key != "weight"
        else torch.ones(value.shape)
        for key, value in kernel.inputs.items()
    }
    leaves = {key: v.detach().requires_grad_(v.is_floating_point()) for key, v in empty.items()}
    output = getattr(module(kernel), kernel.function)(**leaves)
    wanted = [leaf for leaf in leaves.values() if leaf.requires_grad]
    gradients = torch.autograd.grad(output, wanted, torch.ones_like(output))
    assert [g.shape for g in gradients] == [leaf.shape for leaf in wanted]
    assert all(bool(g.isfinite().all()) for g in gradients)


def _elsewhere(value: torch.Tensor) -> torch.Tensor:
    """The same numbers in the middle of a transposed, wider storage."""
    wide = torch.full([2 * size + 1 for size in reversed(value.shape)], float("nan"), dtype=value.dtype)
    place = wide.permute(*reversed(range(value.ndim)))[tuple(slice(1, None, 2) for _ in value.shape)]
    place.copy_(value)
    return place
