"""Synthetic runs for the tests of the report: every outcome, every kind of record. All figures in them are invented."""

from __future__ import annotations

import math
import random
from dataclasses import replace

from harness.case.operators import PATH as OPERATORS
from harness.records import (
    Agreement,
    Basin,
    BenchmarkRecord,
    CaseRecord,
    Ceilings,
    Contour,
    ConvergeRecord,
    Counts,
    Crossover,
    Curve,
    DeviceTimes,
    Environment,
    Finding,
    Fit,
    Graph,
    GraphEdge,
    GraphNode,
    Measured,
    Outcome,
    Run,
    RunFooter,
    RunHeader,
    Scaling,
    SweepRecord,
    SweptRate,
    Target,
    Timing,
    TrajectoryPoint,
    VerifyRecord,
)

NO_CUDA = "CUDA is not available: torch was built without it."
HOSTILE = "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 1'>"
"""Text that does harm wherever it is not escaped."""


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


def finding(**changes: object) -> Finding:
    """Return a passing finding, changed as asked."""
    base = Finding(
        check="reverse ~ ladder",
        outcome=Outcome.PASS,
        message="The reverse-mode gradient of w agrees with finite differences to 11.6 digits.",
        question="gradient of w",
        input="w",
        index=(2,),
        actual=-1.2345678901,
        expected=-1.2345678904,
        error=3.0e-10,
        bar=8.1e-10,
        bar_origin="spread of extrapolants 7.9e-10 + rounding 2e-11",
        resolution=4.4e-10,
        digits=11.6,
        detection_limit=1e-9,
        independent=True,
        route="autograd",
        oracle="ladder",
        point="random 0",
        dims="n=7, d=3",
        seed=7,
        command="harness verify cases/regression/rss.yaml -k linear-regression-rss --seed 7",
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def verify(case: str, outcome: Outcome = Outcome.PASS, **changes: object) -> VerifyRecord:
    """Return a verdict on a case, changed as asked."""
    base = VerifyRecord(
        job=f"verify {case}",
        case=case,
        title=case.replace("-", " ").capitalize(),
        source="An invented source, chapter 3",
        path=f"cases/calculus/{case}.yaml",
        tags=("calculus",),
        outcome=outcome,
        message="2 independent checks agree with the gradient.",
        findings=(finding(), finding(check="reverse ~ analytic", oracle="analytic", independent=False, digits=15.8)),
        detection_limit=1e-10 if outcome is Outcome.PASS else None,
        formula="(x - 2)**2",
        gradient=(("x", "2 * (x - 2)"),),
        is_expression=True,
        duration_s=0.42,
        command=f"harness verify cases/calculus/{case}.yaml -k {case} --seed 7",
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def curve(label: str = "∂f/∂w[2] at random 0") -> Curve:
    """Return the classic V: truncation error falls with the step until rounding takes over."""
    steps = tuple(0.5 * 2.0**-k for k in range(40))
    errors = tuple(0.3 * h**2 + 2e-16 / h for h in steps)
    better = tuple(None if k < 2 else 0.1 * h**6 + 9e-16 / h for k, h in enumerate(steps))
    return Curve(label=label, steps=steps, errors=errors, extrapolated_errors=better, chosen=9)


def graph() -> Graph:
    """Return the graph of (a + b)(b + 1) at a = 2, b = 1."""
    nodes = (
        GraphNode(id="a", label="a", kind="input", value="2"),
        GraphNode(id="b", label="b", kind="input", value="1"),
        GraphNode(id="one", label="1", kind="constant", value="1"),
        GraphNode(id="c", label="+", kind="operator", value="3"),
        GraphNode(id="d", label="+", kind="operator", value="2"),
        GraphNode(id="e", label="×", kind="output", value="6"),
    )
    pairs = (("a", "c", "1"), ("b", "c", "1"), ("b", "d", "1"), ("one", "d", None), ("c", "e", "2"), ("d", "e", "3"))
    return Graph(nodes=nodes, edges=tuple(GraphEdge(source=s, target=t, partial=p) for s, t, p in pairs))


def many_findings(case: str, count: int, *, seed: int = 0) -> tuple[Finding, ...]:
    """Return passing findings as a real check makes them: routes × oracles × points × dtypes."""
    rng = random.Random(f"{case} {seed}")
    pairs = [
        ("autograd", "ladder"),
        ("autograd", "analytic"),
        ("backward()", "reverse"),
        ("forward", "adjoint"),
        ("autograd", "ball arithmetic"),
        ("double backward", "ladder of gradients"),
    ]
    made = []
    for number in range(count):
        route, oracle = pairs[number % len(pairs)]
        dtype = "float64" if number % 3 else "float32"
        floor = 1e-10 if dtype == "float64" else 2e-5
        expected = rng.gauss(0, 1)
        error = rng.random() * floor
        made.append(
            finding(
                check=f"{route} ~ {oracle}",
                route=route,
                oracle=oracle,
                independent=oracle in {"ladder", "ball arithmetic"},
                message=f"{route} agrees with {oracle} to {-math.log10(error + 1e-17):.1f} digits.",
                input=rng.choice(["w", "b"]),
                index=(rng.randrange(8),),
                actual=expected + error,
                expected=expected,
                error=error,
                bar=floor * 1.5,
                resolution=floor * 2,
                digits=min(17.0, -math.log10(error + 1e-17)),
                ulps=error / (2.0**-52 if dtype == "float64" else 2.0**-23) if oracle == "ball arithmetic" else None,
                radius_bits=120 - number % 9 if oracle == "ball arithmetic" else None,
                order=2 if route == "double backward" else 1,
                dtype=dtype,
                point=f"random {number % 4}",
                dims=f"n={rng.choice([1, 7, 64])}, d=3",
            )
        )
    return tuple(made)


def sweep(case: str, **changes: object) -> SweepRecord:
    """Return a sweep of five rates from two seeds of which three in a row work, changed as asked."""
    tried = ((0.001, None, None), (0.01, 400, 500), (0.1, 50, 40), (1.0, 90, 60), (10.0, None, None))
    statuses = ("censored", "works", "works", "works", "diverges")
    base = SweepRecord(
        job=f"sweep {case}[0]",
        case=case,
        title=case.replace("-", " ").capitalize(),
        source="An invented source, chapter 4",
        path=f"cases/regression/{case}.yaml",
        tags=("regression",),
        outcome=Outcome.PASS,
        message="works from 0.01 to 1 (2 decades, 3 of 5 rates) from every one of 2 seeds",
        run="SGD(momentum=0.9), autograd",
        optimizer="SGD",
        seeds=(7, 8),
        budget=500,
        goal="within 1e-06 of a minimum",
        rates=tuple(
            SweptRate(
                rate=rate,
                status=status,  # type: ignore[arg-type]
                steps=(first, second),
                losses=(None, None) if status == "diverges" else (0.1, 0.2),
                diverged=2 * (status == "diverges"),
            )
            for (rate, first, second), status in zip(tried, statuses, strict=True)
        ),
        basin=Basin(
            low=0.01, high=1.0, decades=2.0, count=3, open_low=False, open_high=False, best_rate=0.1, best_steps=45.0
        ),
        declared_rate=0.1,
        duration_s=0.5,
        command=f"harness converge cases/regression/{case}.yaml -k {case} --seed 7 --sweep lr",
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def descent(case: str, **changes: object) -> ConvergeRecord:
    """Return a gradient descent on a bowl that arrives, with its path and contours, changed as asked."""
    xs = [1.8 * 0.93**k for k in range(160)]
    ys = [-1.2 * 0.97**k for k in range(160)]
    trajectory = tuple(
        TrajectoryPoint(
            step=k,
            loss=x * x + 0.4 * y * y,
            error=max(abs(x), abs(y)),
            gradient_norm=math.hypot(2 * x, 0.8 * y),
            parameters=(x, y),
        )
        for k, (x, y) in enumerate(zip(xs, ys, strict=True))
    )
    grid_x = tuple(-2 + 4 * k / 40 for k in range(41))
    grid_y = tuple(-1.5 + 3 * k / 40 for k in range(41))
    base = ConvergeRecord(
        job=f"converge {case}[0]",
        case=case,
        title=case.replace("-", " ").capitalize(),
        source="An invented source, chapter 4",
        path=f"cases/regression/{case}.yaml",
        tags=("regression",),
        outcome=Outcome.PASS,
        message="Arrived within 1e-06 of the minimum after 121 steps.",
        run="GD(lr=0.1), analytic gradient",
        optimizer="GD",
        options=(("lr", "0.1"),),
        gradient_source="analytic",
        seed=7,
        status="hit",
        steps=159,
        gradient_evaluations=160,
        steps_to_tolerance=121,
        tolerance=1e-6,
        final_loss=3.1e-14,
        final_error=4.4e-8,
        best_error=4.4e-8,
        minimum_source="closed form (least squares)",
        minimum=(("w", (0.0, 0.0)),),
        final=(("w", (1.2e-8, -4.4e-8)),),
        observed_rate=0.9701,
        theoretical_rate=0.97,
        learning_rate_bound=1.0,
        trajectory=trajectory,
        contour=Contour(
            labels=("w[0]", "w[1]"),
            x=grid_x,
            y=grid_y,
            values=tuple(tuple(x * x + 0.4 * y * y for x in grid_x) for y in grid_y),
        ),
        duration_s=0.31,
        command=f"harness converge cases/regression/{case}.yaml -k {case} --seed 7",
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def compared() -> tuple[ConvergeRecord, ...]:
    """Return two optimizers on two problems, a third on one of them, and what must not be compared with them.

    On "valley", SGD takes 10 evaluations to τ = 0.1 and never comes to 10⁻³, a declared miss; Newton takes 2 and 4. On
    "plain", of SGD's three seeds two come to 10⁻³, at the cost of 8 and 16 evaluations where Newton's seeds take 4.
    """

    def tried(case: str, entry: int, name: str, costs: tuple[int | None, ...], **changes: object) -> ConvergeRecord:
        ladder = tuple(
            Target(tau=tau, loss=100.0 * tau, step=cost, evaluations=cost)
            for tau, cost in zip((0.1, 1e-3), costs, strict=True)
        )
        given = {"first_loss": 100.0, "minimum_loss": 0.0, "contour": None, "trajectory": (), "seed": 0, "entry": entry}
        named = {"optimizer": name, "run": f"{name}(), autograd", "job": f"converge {case}[{entry}]", "targets": ladder}
        return descent(case, **(given | named | {"evaluations_to_tolerance": costs[-1]} | changes))

    why = {"expect": "misses", "reason": "the valley is <b>long</b>", "status": "budget"}
    return (
        tried("valley", 0, "SGD", (10, None), **why),
        tried("valley", 1, "Newton", (2, 4)),
        tried("valley", 2, "SGD", (None, None), expect="diverges", status="diverged"),
        tried("valley", 3, "Rprop", (1, 1), first_loss=5.0),
        *(tried("plain", 0, "SGD", (2, cost), seed=seed) for seed, cost in enumerate((8, 16, None))),
        *(tried("plain", 1, "Newton", (2, 4), seed=seed) for seed in range(3)),
    )


def fit() -> Fit:
    """Return the fit of a parabola to noisy data at twelve steps."""
    rng = random.Random(3)
    x = tuple(-1 + 2 * k / 49 for k in range(50))
    y = tuple(5 * v * v + 3 + rng.gauss(0, 0.3) for v in x)
    steps = tuple(round(1000 * (k / 11) ** 2) for k in range(12))
    shares = [1 - math.exp(-step / 150) for step in steps]
    predictions = tuple(tuple(share * (5 * v * v + 3) for v in x) for share in shares)
    return Fit(x_label="x", y_label="y", x=x, y=y, steps=steps, predictions=predictions)


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


def wrong_sign() -> VerifyRecord:
    """Return a case whose analytic gradient has the wrong sign in one entry."""
    case = "linear-regression-rss"
    red = finding(
        check="analytic ~ ladder",
        outcome=Outcome.FAIL,
        message="The analytic gradient of w is wrong at w[1]: it says 0.8312, finite differences of the function say "
        "-0.8312 ± 2.1e-10. The sign is flipped.",
        index=(1,),
        actual=0.8312450912,
        expected=-0.8312450913,
        error=1.6624901825,
        bar=2.1e-10,
        digits=0.0,
        detection_limit=None,
    )
    return verify(
        case,
        Outcome.FAIL,
        title="Residual sum of squares of a linear model",
        source="PyTorch Introduction - Basics",
        path="cases/regression/rss.yaml",
        tags=("regression", "linear"),
        message="1 of 61 comparisons failed: the analytic gradient of w has the wrong sign at w[1].",
        formula="(r @ r) / n",
        let=(("r", "y - X @ w"),),
        gradient=(("w", "2/n * X.T @ r"),),
        findings=(*many_findings(case, 60), red),
        curves=(curve(), curve("∂f/∂w[1] at random 1")),
        command="harness verify cases/regression/rss.yaml -k linear-regression-rss --seed 7",
    )


def refuted_claim() -> VerifyRecord:
    """Return a case that passes although a published figure, declared wrong, is refuted."""
    claim = finding(
        check="claim ~ analytic",
        outcome=Outcome.FAIL,
        message="The published gradient of w is 2.14159 at w[1]; the true value is 5.28319.",
        index=(1,),
        actual=math.pi - 1,
        expected=2 * math.pi - 1,
        error=math.pi,
        bar=4e-16,
        bar_origin="rounding",
        digits=0.2,
        point="published",
        excused="The document drops the factor 2 of 2·w₁.",
    )
    return verify(
        "product-with-cosine",
        title="2·w₁w₂ + w₂·cos w₁ and its published gradient",
        formula="2 * w[0] * w[1] + w[1] * cos(w[0])",
        gradient=(),
        findings=(*many_findings("product-with-cosine", 24), claim),
        curves=(curve(),),
    )


def hostile() -> VerifyRecord:
    """Return a failing case every text of which tries to break out of the page."""
    return verify(
        f"hostile{HOSTILE}",
        Outcome.FAIL,
        job=f"verify hostile{HOSTILE}",
        title=HOSTILE + "</template></details></script>",
        source=HOSTILE,
        path=f"cases/{HOSTILE}.yaml",
        tags=(HOSTILE,),
        message=HOSTILE,
        formula=HOSTILE,
        is_expression=False,
        let=((HOSTILE, HOSTILE),),
        gradient=((HOSTILE, HOSTILE),),
        findings=(
            finding(
                check=HOSTILE, outcome=Outcome.FAIL, message=HOSTILE, input=HOSTILE, bar_origin=HOSTILE, command=HOSTILE
            ),
            finding(check=HOSTILE, outcome=Outcome.FAIL, message=HOSTILE, excused=HOSTILE),
        ),
        curves=(curve(HOSTILE),),
        graph=Graph(nodes=(GraphNode(id="x", label=HOSTILE, kind="input", value=HOSTILE),), edges=()),
        traceback=HOSTILE,
        command=HOSTILE,
    )


def records(*, cuda: bool = False) -> tuple[CaseRecord, ...]:
    """Return records of every kind and outcome."""
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
    seeds = tuple(
        descent(
            "mlp-classifier",
            seed=seed,
            run="Adam(lr=0.01), autograd gradient",
            contour=None,
            metric=(("accuracy", 0.97),),
        )
        for seed in (7, 8, 9)
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
        *seeds,
    )


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
