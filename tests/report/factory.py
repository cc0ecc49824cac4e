"""Synthetic runs for the tests of the report: every outcome, every kind of record. All figures in them are invented."""

from __future__ import annotations

import math

from made_checks import HOSTILE, curve, finding, graph, hostile, many_findings, refuted_claim, verify, wrong_sign
from made_descents import compared, descent, fit, sweep
from made_timings import NO_CUDA, benchmark, timing

from harness.case.operators import PATH as OPERATORS
from harness.records import (
    CaseRecord,
    Environment,
    Outcome,
    Run,
    RunFooter,
    RunHeader,
    TrajectoryPoint,
)

__all__ = [
    "HOSTILE", "NO_CUDA", "benchmark", "compared", "descent", "environment", "finding", "full_run", "header", "hostile",
    "large_run", "many_findings", "small_run", "sweep", "sweep_run", "timing", "verify", "wrong_sign",
]  # fmt: skip


def environment(*, cuda: bool = False) -> Environment:
    """Return a fixed environment."""
    return Environment(
        python="3.12.3",
        platform="Linux-6.8-x86_64",
        cpu="Imaginary CPU @ 3.00 GHz",
        cpu_count=8,
        memory_bytes=32 * 2**30,
        torch="2.13.0+cpu",
        torch_threads=8,
        numpy="2.4.6",
        cuda="13.0, Imaginary GPU (invented for a test)" if cuda else None,
        cuda_missing=None if cuda else NO_CUDA,
        harness="0.1.0",
        git_commit="0123456789abcdef0123456789abcdef01234567",
        packages=(("pandas", "3.1.1"), ("plotly", "7.1.0")),
    )


def header(*, planned: tuple[str, ...], cuda: bool = False) -> RunHeader:
    """Return a header with a fixed clock."""
    return RunHeader(
        run="2026-01-02T03-04-05Z",
        started="2026-01-02T03:04:05+00:00",
        command="harness run cases --seed 7",
        seed=7,
        planned=planned,
        environment=environment(cuda=cuda),
    )


def outcomes() -> tuple[CaseRecord, ...]:
    """Return small cases, of every outcome that a verification has."""
    vacuous = finding(
        outcome=Outcome.VACUOUS, message="A zero gradient would have passed as well.", bar=3.0, digits=None
    )
    wide = finding(
        outcome=Outcome.INCONCLUSIVE, message="The bar, 0.4, is too wide to see a fault.", bar=0.4, resolution=0.6
    )
    nan = finding(
        outcome=Outcome.FAIL,
        message="The gradient of x is not a number at x[0]; it should be 0.",
        input="x",
        index=(0,),
        actual=math.nan,
        expected=0.0,
        error=math.inf,
        digits=None,
        point="special zeros",
    )
    off = finding(
        outcome=Outcome.SKIPPED, message="float16 is not supported by this operator.", actual=None, dtype="float16"
    )
    return (
        verify("parabola", findings=many_findings("parabola", 40), graph=graph(), curves=(curve("∂f/∂x at point 1"),)),
        descent("parabola", run="GD(lr=0.1), autograd gradient", contour=None),
        wrong_sign(),
        refuted_claim(),
        verify("norm-at-zero", Outcome.FAIL, formula="norm(x)", gradient=(), findings=(nan, off), message=nan.message),
        verify("saturated-sigmoid", Outcome.VACUOUS, findings=(vacuous,), message=vacuous.message),
        verify("noisy-oracle", Outcome.INCONCLUSIVE, findings=(wide,), message=wide.message),
        verify(
            "triton-kernel",
            Outcome.SKIPPED,
            findings=(),
            message="Its Python code is not trusted.",
            is_expression=False,
        ),
        verify(
            "broken-import",
            Outcome.ERROR,
            findings=(),
            message="ModuleNotFoundError: No module named 'kernels'",
            traceback="Traceback (most recent call last):\n  File …\nModuleNotFoundError: No module named 'kernels'",
        ),
        verify("endless-loop", Outcome.TIMEOUT, findings=(), message="Stopped after 60 s."),
        verify("segfault", Outcome.CRASHED, findings=(), message="The worker process ended with signal 11."),
    )


def curve_fit(*, cuda: bool = False) -> tuple[CaseRecord, ...]:
    """Return a case that is verified, fitted and timed."""
    return (
        verify(
            "curve-fit", findings=many_findings("curve-fit", 80), curves=(curve(),), formula="mean((a*x**2 + b - y)**2)"
        ),
        descent(
            "curve-fit",
            run="Adam(lr=0.1), autograd gradient",
            fit=fit(),
            title="Curve fit of 5x² + 3",
            minimum=(("a", (5.0,)), ("b", (3.0,))),
            final=(("a", (4.99,)), ("b", (3.01,))),
        ),
        benchmark("curve-fit", cuda=cuda),
    )


def rosenbrock() -> tuple[CaseRecord, ...]:
    """Return a case with a descent that arrives, and one that diverges as its file says."""
    return (
        verify("rosenbrock", findings=many_findings("rosenbrock", 90), formula="(1 - x)**2 + 100 * (y - x**2)**2"),
        descent("rosenbrock"),
        descent(
            "rosenbrock",
            job="converge rosenbrock[1]",
            run="GD(lr=1.0), autograd gradient",
            outcome=Outcome.FAIL,
            status="diverged",
            message="Diverged after 12 steps: lr = 1.0 is above 2/λmax = 0.002.",
            excused="Shows what a learning rate above the bound does.",
            trajectory=tuple(
                TrajectoryPoint(step=k, loss=10.0**k, error=10.0**k, gradient_norm=10.0**k, parameters=None)
                for k in range(12)
            ),
            contour=None,
            steps_to_tolerance=None,
        ),
    )


def classifier() -> tuple[CaseRecord, ...]:
    """Return a training from three seeds."""
    return tuple(
        descent(
            "mlp-classifier",
            seed=seed,
            run="Adam(lr=0.01), autograd gradient",
            contour=None,
            metric=(("accuracy", 0.97),),
        )
        for seed in (7, 8, 9)
    )


def records(*, cuda: bool = False) -> tuple[CaseRecord, ...]:
    """Return records of every kind and outcome."""
    return (*outcomes(), *curve_fit(cuda=cuda), *rosenbrock(), *classifier())


def full_run(*, cuda: bool = False) -> Run:
    """Return a run with every outcome, which was interrupted before its last two jobs."""
    made = records(cuda=cuda)
    planned = (*dict.fromkeys(record.job for record in made), "verify never-started", "benchmark rosenbrock")
    footer = RunFooter(finished="2026-01-02T03:05:15+00:00", duration_s=70.0, interrupted=True, exit_code=130)
    return Run(header=header(planned=planned, cuda=cuda), records=made, footer=footer)


def small_run(*added: CaseRecord) -> Run:
    """Return a finished run of a passing case and of `added`."""
    made: tuple[CaseRecord, ...] = (verify("parabola"), *added)
    footer = RunFooter(finished="2026-01-02T03:04:07+00:00", duration_s=2.0, interrupted=False, exit_code=0)
    return Run(header=header(planned=tuple(dict.fromkeys(r.job for r in made))), records=made, footer=footer)


def sweep_run(operators: int = 60) -> Run:
    """Return a sweep over operators with long names, certified but for one by the ladder alone and a wrong one."""
    made = []
    for number in range(operators):
        wrong, uncertified = number == 7, number == 3
        error = 1e-9 if wrong else 1e-16 * (1 + number)
        outcome = Outcome.FAIL if wrong else Outcome.PASS
        own = finding(
            outcome=outcome,
            oracle="ladder" if uncertified else "ball arithmetic",
            digits=min(17.0, -math.log10(error)),
            ulps=None if uncertified else error / 2.0**-52,
            radius_bits=None if uncertified else 121,
            point=f"sample {number % 3}",
            dims="",
        )
        name = f"nn.functional.scaled_dot_product_attention_of_many_heads_{number:02}"
        made.append(verify(name, outcome, path=str(OPERATORS), findings=(own,)))
    footer = RunFooter(finished="2026-01-02T03:05:00+00:00", duration_s=55.0, interrupted=False, exit_code=1)
    planned = tuple(record.job for record in made)
    return Run(header=header(planned=planned), records=tuple(made), footer=footer)


def large_run(cases: int = 60, findings: int = 300) -> Run:
    """Return a run as large as they get: many cases of hundreds of findings each."""
    made = tuple(
        verify(
            f"case-{number:03}", findings=many_findings(f"case-{number}", findings), curves=(curve(),), graph=graph()
        )
        for number in range(cases)
    )
    footer = RunFooter(finished="2026-01-02T03:05:00+00:00", duration_s=55.0, interrupted=False, exit_code=0)
    return Run(header=header(planned=tuple(record.job for record in made)), records=made, footer=footer)
