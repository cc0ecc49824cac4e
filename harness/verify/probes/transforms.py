"""The same backward under PyTorch's transforms: batched by vmap, told that it is being compiled, and really compiled.

Sees: a backward that mixes up the batch; one that is replaced, dropped or zeroed under torch.compile. Cannot see: what
only a code-generating compiler does to it, unless asked by name (`inductor`).
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from harness.oracle.analytic import output_cotangents
from harness.oracle.flat import FlatSubject, real_vector
from harness.records import Finding
from harness.verify.first import FirstOrder
from harness.verify.probes.ask import Plain, ask, plain, present
from harness.verify.probes.probe import Probe, Sitting
from harness.verify.probes.tally import Tally
from harness.verify.routes import one_line
from harness.verify.scene import Scene

FACTORS = (1.0, -2.0, 0.5)
"""Upstream gradients of one batch are the scene's times these: powers of two, so that rounding stays the same."""


def run_vmap(scene: Scene, first: FirstOrder, sitting: Sitting) -> Iterator[Finding]:
    """Run the backward for a batch of upstream gradients at once."""
    tally = Tally(scene, "vmap", kinked=first.kinked)
    base = plain(scene, first)
    situation = "the backward is batched by vmap"
    try:
        seen = _rows_agree(scene, base, _batched(base, newer=True), situation)
        if seen.failed:
            # PyTorch's two vmaps have rules of their own (torch.func's is wrong for cdist): a fault shows in both.
            seen = _rows_agree(scene, base, _batched(base, newer=False), situation)
    except Exception as reason:  # noqa: BLE001 - vmap refuses for many reasons, all of them loudly
        tally.refuse(situation, f"it raises {one_line(reason)}")
    else:
        tally = seen
    yield from tally.findings()


def _rows_agree(scene: Scene, base: Plain, rows: list[Mapping[str, Tensor | None]], situation: str) -> Tally:
    """Hold every row of a batch against the judged gradient times its factor, up to the first that differs."""
    tally = Tally(scene, "vmap")
    for place, (factor, found) in enumerate(zip(FACTORS, rows, strict=True)):
        expected = {name: factor * value for name, value in base.expected.items()}
        allowed = {name: abs(factor) * value for name, value in base.allowed.items()}
        row = f"{situation} (row {place} of the batch)"
        if not tally.compare(row, found, expected, allowed, absent=base.found):
            break
    return tally


def _batched(base: Plain, *, newer: bool) -> list[Mapping[str, Tensor | None]]:
    """Gradients for every factor times the upstream gradient, from one batched backward."""
    named = present(base.flat)
    outputs = base.flat.call(named)
    seeds = output_cotangents(base.flat, outputs, base.cotangent)
    active = [(output, seed) for output, seed in zip(outputs, seeds, strict=True) if output.requires_grad]
    names = [block.name for block in base.flat.blocks]
    stacked = [torch.stack([factor * seed for factor in FACTORS]) for _, seed in active]
    there: list[bool] = []

    def backward(*given: Tensor) -> tuple[Tensor, ...]:
        found = torch.autograd.grad(
            [o for o, _ in active],
            [named[n] for n in names],
            given,
            allow_unused=True,
            retain_graph=True,
            is_grads_batched=not newer,
        )
        there[:] = [gradient is not None for gradient in found]
        return tuple(gradient for gradient in found if gradient is not None)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # vmap tells of slow paths
        # The older vmap ends the process where a backward reads `.data`; the newer one, tried first, raises.
        rows = iter(torch.func.vmap(backward)(*stacked) if newer else backward(*stacked))
    found = [next(rows) if known else None for known in there]
    return [
        {n: None if g is None else _row(g[place], named[n]) for n, g in zip(names, found, strict=True)}
        for place in range(len(FACTORS))
    ]


def _row(gradient: Tensor, leaf: Tensor) -> Tensor:
    return real_vector((gradient.detach().to(leaf.dtype),)).to("cpu", torch.float64)


def run_compile(scene: Scene, first: FirstOrder, sitting: Sitting) -> Iterator[Finding]:
    """Tell the subject that it is being compiled; at thorough effort, really trace it, without a code generator."""
    tally = Tally(scene, "compile", kinked=first.kinked)
    base = plain(scene, first)
    with _compiling_flag():
        _attempt(tally, base, base.flat, "torch.compiler.is_compiling() is true")
    if sitting.at_least("thorough"):
        _compiled(tally, base, "aot_eager")
    yield from tally.findings()


def run_inductor(scene: Scene, first: FirstOrder, sitting: Sitting) -> Iterator[Finding]:
    """Compile the subject with PyTorch's own compiler."""
    tally = Tally(scene, "inductor", kinked=first.kinked)
    if scene.flat.device.type == "cpu" and not any(shutil.which(name) for name in ("c++", "g++", "clang++", "cl")):
        tally.refuse("torch.compile", "there is no C++ compiler")
    else:
        _compiled(tally, plain(scene, first), "inductor")
    yield from tally.findings()


def _compiled(tally: Tally, base: Plain, backend: str) -> None:
    torch._dynamo.reset()
    function: Any = torch.compile(base.flat.subject.function, backend=backend, dynamic=False)
    flat = FlatSubject.__new__(FlatSubject)
    flat.__dict__.update(base.flat.__dict__)
    flat._function = function
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # compilers tell of slow paths and of deprecations inside PyTorch
        _attempt(tally, base, flat, f"the function is compiled (torch.compile, {backend})")
    torch._dynamo.reset()


def _attempt(tally: Tally, base: Plain, flat: FlatSubject, situation: str) -> None:
    try:
        found = ask(flat, present(flat), base.cotangent)
    except Exception as reason:  # noqa: BLE001 - what cannot be compiled says so loudly
        tally.refuse(situation, f"it raises {one_line(reason)}")
    else:
        tally.same(situation, found, base)


@contextmanager
def _compiling_flag() -> Iterator[None]:
    """Make torch.compiler.is_compiling() say yes, so that code which asks takes the branch it keeps for compilers."""
    before = torch.compiler._is_compiling_flag
    torch.compiler._is_compiling_flag = True
    try:
        yield
    finally:
        torch.compiler._is_compiling_flag = before


VMAP = Probe(
    name="vmap",
    effort="quick",
    sees="a backward that mixes up the rows of a batch of upstream gradients",
    blind_to="backwards that vmap refuses",
    run=run_vmap,
)
COMPILE = Probe(
    name="compile",
    effort="standard",
    sees="a backward that is another one, or dropped, under torch.compile",
    blind_to="what a code-generating compiler does; at standard effort only code that asks whether it is compiled",
    run=run_compile,
)
INDUCTOR = Probe(
    name="inductor",
    effort="named",
    sees="a backward that PyTorch's own compiler changes",
    blind_to="machines without a C++ compiler",
    run=run_inductor,
)
