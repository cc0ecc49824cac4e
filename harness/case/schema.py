"""The case file's shape, as pydantic models; the JSON Schema that editors use is generated from them.

Models only say what a document may contain. Positions, nearest keys and cross-checks between parts are `load`'s job;
what an expression may contain is `expression`'s. Unknown keys are faults everywhere.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeAliasType

Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=64)]
CaseId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=120)]
ExpressionText = Annotated[str, Field(min_length=1)]
Number = int | float
Size = Annotated[int, Field(ge=0, le=10_000_000)]
PositiveInt = Annotated[int, Field(ge=1)]

Value = TypeAliasType("Value", "Number | str | list[Value]")
"""A number, an expression of constants ("pi/2"), or nested lists of them."""

Dtype = Literal["float64", "float32", "bfloat16", "float16"]
Special = Literal["zeros", "ones", "ties", "saturated", "borders", "huge", "tiny", "nonfinite"]
Pass = Literal["value", "forward", "backward", "forward_backward", "step"]
Variant = Literal["analytic", "reference", "compile"]


class Model(BaseModel):
    """Base of every model: no unknown keys, no silent conversions, unchangeable once made."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class FixedDim(Model):
    """A size that no probe may vary."""

    fixed: Size


class PythonRef(Model):
    """Python code that stands in for an expression; it runs only where the caller trusts its package or folder."""

    python: Annotated[str, Field(pattern=r"^[^:]+:[A-Za-z_][A-Za-z0-9_.]*$")]
    """"package.module:name", or "./file.py:name" beside the case file."""
    loss: ExpressionText | None = None
    """Expression over `output` and the inputs, applied to what the code returns."""


class InputModel(Model):
    """One named input: its shape, how values are drawn, where it is defined, and whether a gradient is asked for."""

    shape: list[Name | Size] = []
    draw: str = "normal"
    """normal, uniform(a, b), positive, integers(a, b), spd, symmetric, simplex, sorted, unit, orthogonal, permutation, mask, choice(a, b, …)"""
    value: Value | None = None
    """A constant value instead of a draw."""
    scale: Number = 1.0
    away_from: list[Number] = []
    margin: Annotated[float, Field(gt=0)] = 0.1
    domain: Annotated[list[Number], Field(min_length=2, max_length=2)] | None = None
    """Closed interval outside which the function is not defined; finite differences stay inside it."""
    type: Literal["real", "complex"] = "real"
    grad: bool = True


class Claims(Model):
    """What was published about a point. A decimal counts as rounded to its last printed digit; integers and expressions are exact."""

    value: Value | None = None
    gradient: dict[Name, Value] = {}
    """By input, or by a name under `let` (its retained gradient)."""
    hessian: dict[Name, Value] = {}
    expected: Literal["confirmed", "refuted"] = "confirmed"
    reason: str | None = None


class PointModel(Model):
    """An exact point. Inputs left out are drawn."""

    name: str | None = None
    at: dict[Name, Value]
    claims: Claims | list[Claims] = []


class VerifyModel(Model):
    """How the gradient is checked."""

    dtypes: list[Dtype] = ["float64", "float32"]
    orders: list[Literal[1, 2]] = [1, 2]
    points: Annotated[int, Field(ge=0, le=100)] = 2
    """Number of seeded random points per combination of sizes."""
    special: list[Special] = []
    complex_step: bool = False
    skip: str | None = None
    """Reason for not verifying this case."""


class Batches(Model):
    """Mini-batches: rows of every input whose first dim is `along` go through a Dataset and a DataLoader."""

    size: PositiveInt
    along: Name = "n"
    shuffle: bool = True


class Stop(Model):
    """When a descent may end before its last step."""

    gradient_norm: Annotated[float, Field(gt=0)] | None = None
    loss: Number | None = None
    loss_change: Annotated[float, Field(gt=0)] | None = None


class FitModel(Model):
    """What the report animates for a regression; `prediction` is an expression over inputs (and `output` of a module)."""

    x: ExpressionText
    y: ExpressionText
    prediction: ExpressionText


class Accuracy(Model):
    """A classifier's score after training: the share of rows whose arg-max of `scores` equals `labels`."""

    scores: ExpressionText
    labels: Name
    at_least: Annotated[float, Field(ge=0, le=1)]


class ConvergeModel(Model):
    """One descent: does it arrive?"""

    optimizer: str = "SGD"
    """A class of torch.optim, or GD for plain gradient descent with steps written out: w ← w − lr·∇f."""
    options: dict[Name, bool | Number | str | list[Number] | None] = {}
    steps: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    start: dict[Name, Value] = {}
    """By input: a value, or zeros, ones, or a draw. Inputs left out are drawn."""
    minimum: Literal["least_squares", "scipy"] | dict[Name, Value] | None = None
    within: Annotated[float, Field(gt=0)] = 1e-6
    """Largest distance (max-norm) of a parameter from the minimum that counts as arrived."""
    loss_below: Number | None = None
    """Counts as arrived when the loss falls to this; for cases without a known minimiser."""
    accuracy: Accuracy | None = None
    gradient: Literal["autograd", "analytic"] = "autograd"
    seeds: Annotated[int, Field(ge=1, le=1000)] = 1
    fresh: list[Name] = []
    """Inputs drawn anew at every step (endless data)."""
    batches: Batches | None = None
    stop: Stop = Stop()
    dims: dict[Name, Size] = {}
    dtype: Dtype = "float64"
    expect: Literal["arrives", "diverges"] = "arrives"
    fit: FitModel | None = None
    published: dict[Name, Value] = {}
    """Final parameters a source printed; shown beside ours."""


class BenchmarkModel(Model):
    """What is timed, over which sizes, against what."""

    sweep: dict[Name, list[Size]] = {}
    passes: list[Pass] = ["value", "forward", "backward", "forward_backward"]
    against: list[Variant] = []
    dtype: Dtype = "float32"
    optimizer: str = "SGD"
    """The optimizer whose step is timed by the pass `step`."""


class ExpectedModel(Model):
    """A declared failure: the case passes only while it fails so. Shown and counted apart; it turns red when it stops."""

    outcome: Literal["fail", "error", "inconclusive", "vacuous"]
    match: str
    """Regular expression some unexcused finding's message must match."""
    reason: str
    until: date | None = None


class CaseModel(Model):
    """A case: a function, its analytic gradient, and what to do with them."""

    case: CaseId
    title: str
    source: str = ""
    tags: list[str] = []
    dims: dict[Name, Size | list[Size] | FixedDim] = {}
    inputs: dict[Name, InputModel]
    let: dict[Name, ExpressionText] = {}
    function: ExpressionText | list[ExpressionText] | PythonRef
    gradient: dict[Name, ExpressionText] | PythonRef | None = None
    """By input; may use `cotangent` (cotangent_0, … with several outputs). Without it, the output must be a scalar."""
    reference: ExpressionText | PythonRef | None = None
    points: list[PointModel] = []
    verify: VerifyModel = VerifyModel()
    converge: list[ConvergeModel] = []
    benchmark: BenchmarkModel | None = None
    expected: ExpectedModel | None = None
