"""The case file's shape, as pydantic models; the JSON Schema that editors use is generated from them.

Models only say what a document may contain. Positions, nearest keys and cross-checks between parts are `load`'s job;
what an expression may contain is `expression`'s. Unknown keys are faults everywhere.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
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
ProbeName = Literal[
    "random forward", "side effects", "cotangents", "layouts", "uninitialised memory", "requires_grad",
    "same tensor twice", "vmap", "compile", "reruns", "values", "sizes", "nonfinite", "autocast", "cuda", "bitwise",
    "large index", "inductor",
]  # fmt: skip
Pass = Literal["value", "forward", "backward", "forward_backward", "jacobian", "step"]
Variant = Literal["analytic", "reference", "compile", "jacrev", "jacfwd"]


class Model(BaseModel):
    """Base of every model: no unknown keys, no silent conversions, unchangeable once made."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class FixedDim(Model):
    """A size that no probe may vary."""

    fixed: Size
    """The one value it has."""


class PythonRef(Model):
    """Python code that stands in for an expression; it runs only where the caller trusts its package or folder."""

    python: Annotated[str, Field(pattern=r"^[^:]+:[A-Za-z_][A-Za-z0-9_.]*$")]
    """"package.module:name", or "./file.py:name" beside the case file."""
    loss: ExpressionText | None = None
    """Expression over `output` and the inputs, applied to what the code returns."""


class InputModel(Model):
    """One named input: its shape, how values are drawn, where it is defined, and whether a gradient is asked for."""

    shape: list[Name | Size] = []
    """Sizes, each a number or the name of a dim; without it the input is a single number."""
    draw: str = "normal"
    """How values are drawn: normal, uniform(a, b), positive, integers(a, b) (b left out), spd, symmetric, simplex,
    sorted, unit, orthogonal, permutation, mask(p), choice(a, b, …), digits_images, digits_labels."""
    value: Value | None = None
    """A constant value instead of a draw."""
    scale: Number = 1.0
    """Factor applied to what was drawn."""
    away_from: list[Number] = []
    """Values that drawn entries keep a distance from."""
    margin: Annotated[float, Field(gt=0)] = 0.1
    """That distance."""
    domain: Annotated[list[Number], Field(min_length=2, max_length=2)] | None = None
    """Closed interval outside which the function is not defined; finite differences stay inside it."""
    type: Literal["real", "complex"] = "real"
    """Whether entries are real or complex numbers."""
    grad: bool = True
    """Whether the gradient with respect to this input is checked; whole numbers have none."""


class Claims(Model):
    """What was published about a point. A decimal counts as rounded to its last printed digit; others are exact."""

    value: Value | None = None
    """The function's value there."""
    gradient: dict[Name, Value] = {}
    """By input, or by a name under `let` (its retained gradient)."""
    hessian: dict[Name, Value] = {}
    """Second derivatives, by input, with respect to that input alone."""
    stationary: bool = False
    """That the gradient vanishes there, as far as the point's own decimals tell: a minimum, a saddle. Faults that are a
    part of the gradient cannot be seen at such a point, so what would be undecided for that reason is skipped."""
    expected: Literal["confirmed", "refuted"] = "confirmed"
    """`refuted` keeps a published figure that is known to be wrong; the case is red as soon as it is confirmed."""
    reason: str | None = None
    """Why a claim is expected to be refuted."""


class PointModel(Model):
    """An exact point. Inputs left out are drawn."""

    name: str | None = None
    """What findings call the point."""
    at: dict[Name, Value]
    """By input: a value, or zeros or ones."""
    claims: Claims | list[Claims] = []
    """What was published about it; a list where there are several statements."""


class SkipModel(Model):
    """A probe that this case leaves out."""

    probe: ProbeName
    """Which one."""
    reason: Annotated[str, Field(min_length=1)]
    """Why, for the report."""
    until: date
    """Day after which the probe runs again and the skip itself is a failure."""


class RmsRatioPolicy(Model):
    """A low-precision gradient is accepted by its relative error in the root mean square."""

    rms_ratio: Annotated[Number, Field(alias="rms-ratio", ge=0, allow_inf_nan=False)]
    """Largest ‖error‖ / ‖true gradient‖."""


class Tolerances(Model):
    """Numbers of somebody's choosing: entries may be off by atol + rtol·|true entry|."""

    rtol: Annotated[Number, Field(ge=0, allow_inf_nan=False)]
    """Relative part."""
    atol: Annotated[Number, Field(ge=0, allow_inf_nan=False)]
    """Absolute part."""


class AllClosePolicy(Model):
    """A low-precision gradient is accepted entry by entry."""

    allclose: Tolerances
    """What every entry may be off by."""


class VerifyModel(Model):
    """How the gradient is checked."""

    dtypes: list[Dtype] = ["float64", "float32"]
    """Dtypes the subject runs in; those below float64 are judged against float64 by a rounding bar. A subject with a
    `reference` is not run in float64 where that is left out."""
    policy: Literal["flash-2x"] | RmsRatioPolicy | AllClosePolicy | None = None
    """What accepts a low-precision gradient instead of the rounding bar: `flash-2x` (at most twice as far off as the
    reference is in that dtype), `{rms-ratio: r}`, or `{allclose: {rtol: …, atol: …}}`."""
    orders: list[Literal[1, 2]] = [1, 2]
    """Orders of differentiation."""
    points: Annotated[int, Field(ge=0, le=100)] = 2
    """Number of seeded random points per combination of sizes."""
    special: list[Special] = []
    """Further points at which every input takes values of a kind."""
    complex_step: bool = False
    """Whether the complex step is used as an oracle; only for functions that are analytic in torch, too."""
    effort: Literal["quick", "standard", "thorough"] | None = None
    """How hard to look, where the command line asks for standard effort."""
    probes: list[ProbeName] | None = None
    """Only these probes; without it all that run at the effort. An empty list is none."""
    skip: str | list[SkipModel] | None = None
    """Reason for not verifying this case; or a list of probes it leaves out, each with a reason and a day."""


class Batches(Model):
    """Mini-batches: rows of every input whose first dim is `along` go through a Dataset and a DataLoader."""

    size: PositiveInt
    """Rows in a batch."""
    along: Name = "n"
    """The dim whose entries are the rows."""
    shuffle: bool = True
    """Whether each epoch has a new order."""
    workers: Annotated[int, Field(ge=0, le=16)] = 0
    """Processes that load the rows; with some, it is checked that batches are those of a loader without any."""


class Clip(Model):
    """What every step's gradient is clipped to: one of the two."""

    norm: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Largest 2-norm c of the whole gradient: g becomes g·min(1, c/‖g‖)."""
    value: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Largest size of every entry."""


class ScheduleModel(Model):
    """How the learning rate changes on the way."""

    name: str
    """A class of torch.optim.lr_scheduler."""
    options: dict[Name, bool | Number | str | list[Number] | None] = {}
    """Its keyword arguments."""
    every: Literal["step", "epoch"] = "step"
    """When it moves on."""


class Stop(Model):
    """When a descent may end before its last step."""

    gradient_norm: Annotated[float, Field(gt=0)] | None = None
    """When the gradient's norm is at most this."""
    loss: Number | None = None
    """When the loss is at most this."""
    loss_change: Annotated[float, Field(gt=0)] | None = None
    """When the loss changes by at most this in a step."""


class FitModel(Model):
    """What the report animates for a regression; `prediction` may use the inputs and a module's `output`."""

    x: ExpressionText
    """The data's abscissa."""
    y: ExpressionText
    """The data's ordinate."""
    prediction: ExpressionText
    """The fitted curve's ordinate."""


class Accuracy(Model):
    """A classifier's score after training: the share of rows whose arg-max of `scores` equals `labels`."""

    scores: ExpressionText
    """A matrix with a row of class scores per row of data."""
    labels: Name
    """The input that holds each row's class, from 0."""
    at_least: Annotated[float, Field(ge=0, le=1)]
    """The smallest share that passes."""


class OptimizerRef(Model):
    """An optimizer of one's own; it runs only where the caller trusts its package or folder, and is verified, too."""

    python: Annotated[str, Field(pattern=r"^[^:]+:[A-Za-z_][A-Za-z0-9_.]*$")]
    """Its class: "package.module:name", or "./file.py:name" beside the case file."""
    rule: Annotated[str, Field(pattern=r"^[^:]+:[A-Za-z_][A-Za-z0-9_.]*$")] | None = None
    """Its update rule in NumPy, a generator function; without it, only what needs no rule is verified."""


class ConvergeModel(Model):
    """One descent: does it arrive?"""

    optimizer: str | OptimizerRef = "SGD"
    """A class of torch.optim, or GD for plain gradient descent with steps written out: w ← w − lr·∇f; or
    `{python: …, rule: …}` for one of your own."""
    options: dict[Name, bool | Number | str | list[Number] | None] = {}
    """Keyword arguments of the optimizer."""
    steps: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """Largest number of steps."""
    start: dict[Name, Value] = {}
    """By input: a value (one number stands for every entry), zeros, ones, or a draw. Inputs left out are drawn."""
    minimum: Literal["least_squares", "scipy"] | dict[Name, Value] | None = None
    """Where it should arrive: a value per input, where one number is for every entry (or, for every input, a list of
    them: several minima of which any will do), the closed form of a quadratic loss, or what scipy finds from the
    start."""
    within: Annotated[float, Field(gt=0)] = 1e-6
    """Largest distance (max-norm) of a parameter from the minimum that counts as arrived."""
    digits: Annotated[float, Field(gt=0, le=15)] | None = None
    """Instead of `within`: counts as arrived when every parameter agrees with the minimum to this many digits, which is
    −log₁₀(|b − c|/|c|) (of a zero, the absolute error)."""
    relative: bool = False
    """Whether the descent runs on θ = parameter/start instead of the parameters themselves, for parameters of very
    different sizes."""
    loss_below: Number | None = None
    """Counts as arrived when the loss falls to this; for cases without a known minimiser."""
    accuracy: Accuracy | None = None
    """Counts as arrived when a classifier is this good."""
    gradient: Literal["autograd", "analytic"] = "autograd"
    """Which gradient is followed."""
    seeds: Annotated[int, Field(ge=1, le=1000)] = 1
    """Number of runs, each from its own seed."""
    fresh: list[Name] = []
    """Inputs drawn anew at every step (endless data)."""
    batches: Batches | None = None
    """Trains on mini-batches; without it, every step sees all the data."""
    accumulate: PositiveInt = 1
    """Mini-batches whose gradients are accumulated for a step, each weighted by its share of the rows; it is checked
    that they add up to the gradient of all their rows at once, as they do for a loss that is a mean over rows."""
    clip: Clip | None = None
    """Clips the gradient before every step; it is checked against its formula."""
    schedule: ScheduleModel | None = None
    """Changes the learning rate on the way; it is checked that every step has the rate it should."""
    autocast: Literal["bfloat16", "float16"] | None = None
    """Evaluates the loss in mixed precision, the parameters being float32; float16 scales the loss by a GradScaler and
    needs CUDA. The gradient is checked against that of float64 within rounding bars."""
    resume: bool = False
    """Checks that a training that is stopped half-way, stored, and resumed in fresh objects ends bit by bit where the
    uninterrupted one does."""
    moved: bool = False
    """Checks that a module moved to its dtype and device after its optimizer was made trains as one moved before."""
    stop: Stop = Stop()
    """When it may end early."""
    dims: dict[Name, Size] = {}
    """The named sizes of this run; of those left out, the largest declared one is used."""
    dtype: Dtype = "float64"
    """Dtype of parameters and data."""
    expect: Literal["arrives", "misses", "diverges"] = "arrives"
    """How it should end; `misses` (it neither arrives nor diverges) needs a `reason`."""
    reason: str | None = None
    """Why it is not expected to arrive, for the report."""
    fit: FitModel | None = None
    """What the report animates, for a regression."""
    published: dict[Name, Value] = {}
    """Final parameters a source printed; shown beside ours."""

    @property
    def optimizer_name(self) -> str:
        """What the optimizer is called: its class in torch.optim, or its Python path."""
        return self.optimizer if isinstance(self.optimizer, str) else self.optimizer.python


class BenchmarkModel(Model):
    """What is timed, over which sizes, against what."""

    sweep: dict[Name, list[Size]] = {}
    """By dim: the sizes timed. Lists of one length are walked side by side."""
    passes: list[Pass] = ["value", "forward", "backward", "forward_backward"]
    """What is timed. `jacobian` is all derivatives of all outputs; `step` is an optimizer's."""
    against: list[Variant] = []
    """What autograd on the function is compared with. `jacrev` and `jacfwd` of torch.func give the whole Jacobian: they
    are timed in the pass `jacobian`, and as `forward_backward` where the function's value is a single number."""
    dtype: Dtype = "float32"
    """Dtype of the inputs."""
    optimizer: str = "SGD"
    """The optimizer whose step is timed by the pass `step`."""


class ExpectedModel(Model):
    """A declared failure: the case passes only while it fails so. Shown and counted apart, and red when it stops."""

    outcome: Literal["fail", "error", "inconclusive", "vacuous"]
    """How it fails."""
    match: str
    """Regular expression some unexcused finding's message must match."""
    reason: str
    """Why it fails, for the report."""
    until: date | None = None
    """Day after which the failure is no longer excused."""


class NistModel(Model):
    """A nonlinear regression on a data file of NIST's StRD: it gives dims, inputs, residuals, points and starts."""

    data: Annotated[str, Field(min_length=1)]
    """The data file, relative to the case file."""
    model: ExpressionText
    """The regression function of the file's predictors (x, or x1, x2, …) and parameters (b1, b2, …)."""
    response: ExpressionText | None = None
    """What the model predicts, where it is not the file's first column itself: ``log(y)``."""


class CaseModel(Model):
    """A case: a function, its analytic gradient, and what to do with them."""

    case: CaseId
    """Unique id: letters, digits, dots, hyphens and underscores."""
    title: str
    """What it is, in a line."""
    source: str = ""
    """Where the maths or a published figure comes from."""
    tags: list[str] = []
    """Words to select cases by (`--tag`)."""
    dims: dict[Name, Size | list[Size] | FixedDim] = {}
    """Named sizes: a number, a list that is swept in pairs, or `{fixed: n}`. Expressions see them as whole numbers."""
    inputs: dict[Name, InputModel]
    """The function's inputs, by name."""
    let: dict[Name, ExpressionText] = {}
    """Named intermediate values, in order; each may use the ones before."""
    function: ExpressionText | list[ExpressionText] | PythonRef
    """What is under test: an expression, a list of them for several outputs, or Python code. Not with `residuals`."""
    residuals: ExpressionText | list[ExpressionText] | PythonRef | None = None
    """Instead of `function`: the residuals r of a least-squares problem; the function is then the sum of all r²."""
    gradient: Annotated[PythonRef | dict[Name, ExpressionText] | None, Field(union_mode="left_to_right")] = None
    """By input; may use `cotangent` (cotangent_0, … with several outputs). Without it, the output must be a scalar."""
    reference: ExpressionText | PythonRef | None = None
    """A plain implementation of the same function, whose value and gradient in float64 count as true."""
    nist: NistModel | None = None
    """Instead of `inputs` and `function`: a nonlinear regression with certified parameters; every descent runs from
    both of the file's starts towards them."""
    points: list[PointModel] = []
    """Exact points to check at, beside the drawn ones."""
    verify: VerifyModel = VerifyModel()
    """How the gradient is checked."""
    converge: list[ConvergeModel] = []
    """Descents on the function."""
    benchmark: BenchmarkModel | None = None
    """What is timed."""
    expected: ExpectedModel | None = None
    """A declared failure."""

    @model_validator(mode="before")
    @classmethod
    def _with_function(cls, data: Any) -> Any:
        """Write the function that residuals stand for; what cannot be residuals is a fault of its own."""
        if not isinstance(data, dict) or data.get("residuals") is None or "function" in data:
            return data
        try:
            return {**data, "function": function_of(_RESIDUALS.validate_python(data["residuals"]))}
        except ValidationError:
            return {**data, "function": "0"}


Residuals = ExpressionText | list[ExpressionText] | PythonRef
_RESIDUALS: TypeAdapter[Residuals] = TypeAdapter(Residuals)


def function_of(residuals: Residuals | None) -> str | PythonRef:
    """Return the sum of squares that residuals stand for; "0" where there are none."""
    if isinstance(residuals, PythonRef):
        return PythonRef(python=residuals.python, loss="sum(output**2)")
    texts = [residuals] if isinstance(residuals, str) else residuals or []
    return " + ".join(f"sum(({text})**2)" for text in texts) or "0"
