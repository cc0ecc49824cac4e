"""Synthetic verifications: findings, curves, graphs and verdicts. All figures in them are invented."""

from __future__ import annotations

import math
import random
from dataclasses import replace

from harness.records import Curve, Finding, Graph, GraphEdge, GraphNode, Outcome, VerifyRecord

HOSTILE = "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 1'>"
"""Text that does harm wherever it is not escaped."""


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
