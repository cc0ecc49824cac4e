"""Synthetic timings of a CPU and of an accelerator. All figures in them are invented."""

from __future__ import annotations

from dataclasses import replace

from harness.records import (
    Agreement,
    BenchmarkRecord,
    Ceilings,
    Counts,
    Crossover,
    DeviceTimes,
    Measured,
    Outcome,
    Scaling,
    Timing,
)

NO_CUDA = "CUDA is not available: torch was built without it."


def timing(median_s: float | None, *, what: str = "forward", n: int = 1000, **changes: object) -> Timing:
    """Return a timed pass with eleven samples around its median, or, without a median, a skipped CUDA pass."""
    sizes = (("n", n), ("d", 3))
    if median_s is None:
        return Timing(
            outcome=Outcome.SKIPPED,
            message=NO_CUDA,
            what=what,
            variant=str(changes.get("variant", "autograd")),
            device="cuda",
            dtype="float32",
            sizes=sizes,
            elements=n * 4,
        )
    base = Timing(
        outcome=Outcome.PASS,
        message=f"{median_s * 1e6:.1f} µs per call.",
        what=what,
        variant="autograd",
        device="cpu",
        dtype="float32",
        sizes=sizes,
        elements=n * 4,
        median_s=median_s,
        low_s=0.96 * median_s,
        high_s=1.05 * median_s,
        confidence=0.95,
        inner=10,
        samples=tuple(median_s * (0.94 + 0.012 * k) for k in range(11)),
        first_call_s=20 * median_s,
        peak_memory_bytes=16 * n + 4096,
        steady=True,
        counts=Counts(
            operators=(("aten.mv", 2), ("aten.sub", 1)), flops=12 * n if what != "value" else 0, bytes_moved=20 * n
        ),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def on_gpu(median_s: float, *, what: str, n: int) -> Timing:
    """Return an invented timing on an accelerator, with its end-to-end time."""
    whole = tuple(1e-5 + 1.1 * median_s * (0.94 + 0.012 * k) for k in range(11))
    times = DeviceTimes(end_to_end=Measured(median_s=whole[5], low_s=whole[2], high_s=whole[8], samples=whole))
    return timing(median_s, what=what, n=n, device="cuda", on_device=times)


def crossover(what: str, *, status: str = "crosses", elements: float | None = 2.6e5) -> Crossover:
    """Return an invented size at which an accelerator overtakes the CPU."""
    return Crossover(
        what=what,
        variant="autograd",
        device="cuda",
        by="device",
        status=status,
        elements=elements,
        low=elements and 0.8 * elements,
        high=elements and 1.3 * elements,
        smallest=4000,
        largest=400_000,
        message="Faster from some 260,000 elements on." if elements else "Slower at every size measured.",
    )


def benchmark(case: str, *, cuda: bool = False, **changes: object) -> BenchmarkRecord:
    """Return the timings of a case over three sizes; the CUDA figures, where asked for, are invented."""
    timings = []
    for n in (1_000, 10_000, 100_000):
        for what, share in (("value", 1.0), ("forward", 1.4), ("backward", 1.9), ("forward_backward", 3.1)):
            seconds = share * (8e-6 + 3e-10 * n)
            timings.append(timing(seconds, what=what, n=n))
            gpu = on_gpu(share * (2e-5 + 4e-12 * n), what=what, n=n) if cuda else None
            timings.append(gpu or timing(None, what=what, n=n))
        unsteady = n == 10_000
        timings.append(timing(1.2 * (8e-6 + 3e-10 * n), what="backward", n=n, variant="analytic", steady=not unsteady))
    base = BenchmarkRecord(
        job=f"benchmark {case}",
        case=case,
        title=case.replace("-", " ").capitalize(),
        source="An invented source, chapter 4",
        path=f"cases/regression/{case}.yaml",
        tags=("regression",),
        outcome=Outcome.PASS,
        message="27 passes timed." if cuda else "15 passes timed, 12 skipped.",
        timings=tuple(timings),
        scalings=(
            Scaling(
                what="forward_backward", variant="autograd", device="cpu", exponent=0.71, low=0.55, high=0.88, points=3
            ),
        ),
        ceilings=(
            Ceilings(
                device="cpu", dtype="float32", bytes_per_s=2e10, flops_per_s=1e11, copy_bytes=2**29, matrix_rows=1024
            ),
        ),
        crossovers=(crossover("forward"), crossover("value", status="never", elements=None)) if cuda else (),
        agreements=(
            Agreement(
                of="value", device="cuda", dtype="float32", sizes=(("n", 1000),), cpu_error=3e-8, device_error=2e-7
            ),
        )
        if cuda
        else (),
        gradient_to_value_ratio=3.1,
        duration_s=2.5,
        command=f"harness bench cases/regression/{case}.yaml -k {case} --seed 7",
    )
    return replace(base, **changes)  # type: ignore[arg-type]
