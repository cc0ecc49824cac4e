"""The columns of every frame a report is made from: name, Arrow type and meaning, in one place.

The meanings travel: they are the glossary of the HTML report and the field metadata of `results.parquet`. This module
only declares; it builds no frame and reads no record.
"""

from __future__ import annotations

import pyarrow as pa

TEXT = pa.string()
INTEGER = pa.int64()
REAL = pa.float64()
FLAG = pa.bool_()
REALS = pa.list_(pa.float64())
INTEGERS = pa.list_(pa.int64())


def _schema(**columns: tuple[pa.DataType, str]) -> pa.Schema:
    return pa.schema([pa.field(name, kind, metadata={"description": text}) for name, (kind, text) in columns.items()])


_CASE = {"case": (TEXT, "Unique id of the case, as its file gives it.")}
_KEY = {"job": (TEXT, "Name of the planned job the row came from."), **_CASE}
_DESCENT = {
    **_KEY,
    "descent": (TEXT, "Optimizer with its options, gradient source and seed."),
}

_PASS = {
    "what": (TEXT, "What was timed."),
    "variant": (TEXT, "autograd · analytic · compile · reference · jacrev · jacfwd · an optimizer."),
    "device": (TEXT, "Device."),
}
_SIZES = {
    "sizes": (TEXT, "Sizes of the inputs."),
    "elements": (INTEGER, "Elements of all inputs together."),
}

COUNTS = _schema(
    outcome=(TEXT, "How something ended; 'not run' was planned and never got a result."),
    cases=(INTEGER, "Cases whose worst undeclared result this is."),
    verify=(INTEGER, "Verification jobs."),
    converge=(INTEGER, "Convergence runs, one per seed."),
    benchmark=(INTEGER, "Benchmark jobs."),
    findings=(INTEGER, "Single comparisons."),
    timings=(INTEGER, "Single timed passes; a device that is missing is a skipped timing."),
)

JOBS = _schema(
    **_KEY,
    job_kind=(TEXT, "verify, converge or benchmark."),
    title=(TEXT, "Title of the case."),
    path=(TEXT, "Case file."),
    outcome=(TEXT, "Worst outcome of the job's records, declared failures not counted; missing: not run."),
    declared_reason=(TEXT, "Reason the case file gives for a failure it declares."),
    message=(TEXT, "What decided the outcome."),
    duration_s=(REAL, "Wall-clock time of the job in seconds."),
    traceback=(TEXT, "Traceback of the exception that ended the job."),
    command=(TEXT, "Command that repeats the job."),
)

CASES = _schema(
    **_CASE,
    title=(TEXT, "What the function is."),
    source=(TEXT, "Where the mathematics or a published figure comes from."),
    path=(TEXT, "Case file."),
    tags=(TEXT, "Tags of the case, separated by commas."),
    outcome=(TEXT, "Worst result of the case's jobs; a failure its file declares does not count. Missing: not run."),
    verify=(TEXT, "Is the gradient right?"),
    converge=(TEXT, "Does descent on the function arrive?"),
    benchmark=(TEXT, "Could it be timed? Only functions whose gradient passed are."),
    message=(TEXT, "What decided the outcome."),
    findings=(INTEGER, "Number of single comparisons made for the case."),
    failed=(INTEGER, "Comparisons that failed and were not declared."),
    undecided=(INTEGER, "Comparisons that ran and could not tell: inconclusive or vacuous."),
    skipped=(INTEGER, "Comparisons that did not run; each has a reason."),
    declared=(INTEGER, "Failures the case file declares, with a reason; they do not turn the case red."),
    detection_limit=(REAL, "Smallest relative fault in the gradient that the checks of this case were seen to catch."),
    digits=(REAL, "Agreement of the subject with its oracles: median over the float64 comparisons, in decimal digits."),
    gradient_to_value_ratio=(
        REAL,
        "Time of value and gradient together over time of the value alone (largest size, CPU).",
    ),
    formula=(TEXT, "The function: an expression per line, or the name of Python code."),
    is_expression=(FLAG, "Whether `formula` is an expression."),
    duration_s=(REAL, "Wall-clock time of the case's jobs in seconds."),
    jobs=(INTEGER, "Jobs planned for the case."),
    jobs_not_run=(INTEGER, "Planned jobs that never got a result."),
    traceback=(TEXT, "Traceback of the exception that ended a job of the case."),
    command=(TEXT, "Command that repeats the job that decided the outcome."),
)

FINDINGS = _schema(
    **_KEY,
    number=(INTEGER, "Position of the finding in its record, from 0."),
    check=(TEXT, "What was compared with what: a route to the subject's derivative ~ an oracle."),
    outcome=(TEXT, "pass: error ≤ bar, and the bar is small enough to have seen a fault."),
    message=(TEXT, "The result in words."),
    question=(TEXT, "What is decided, apart from who answers."),
    input=(TEXT, "Input whose derivative was compared."),
    index=(INTEGERS, "Worst entry: the one whose error is largest in units of its bar."),
    actual=(REAL, "The subject's number at the worst entry."),
    expected=(REAL, "The oracle's number at the worst entry."),
    error=(REAL, "|actual − expected| at the worst entry."),
    bar=(REAL, "How far apart the two may lie there: the uncertainty of both sides, not a chosen tolerance."),
    bar_origin=(TEXT, "Where the bar comes from."),
    resolution=(REAL, "Smallest relative error of this gradient that the comparison could have noticed."),
    digits=(REAL, "Agreement in decimal digits, by norms; at most 17."),
    ulps=(REAL, "Largest error of an entry, in units in the last place of its truth, where the truth is enclosed."),
    radius_bits=(INTEGER, "b of the enclosure value·(1 ± 2⁻ᵇ) that the truth was known to."),
    detection_limit=(REAL, "Smallest relative fault that this comparison was seen to catch."),
    independent=(FLAG, "Whether the oracle evaluates only the function and cannot share the gradient's mistakes."),
    route=(TEXT, "How the subject's own derivative was had."),
    oracle=(TEXT, "The independent source of the derivative."),
    order=(INTEGER, "Order of the derivative."),
    dtype=(TEXT, "Number type under test."),
    device=(TEXT, "Device under test."),
    point=(TEXT, "Point the comparison was made at."),
    dims=(TEXT, "Sizes at that point."),
    seed=(INTEGER, "Seed of the random draws."),
    excused=(TEXT, "Reason the case file gives for a failure it declares."),
    command=(TEXT, "Command that repeats the finding."),
)

ACCURACY = _schema(
    **_CASE,
    path=(TEXT, "Case file."),
    dtype=(TEXT, "Number type under test."),
    device=(TEXT, "Device under test."),
    digits=(REAL, "Fewest decimal digits, by norms, to which a gradient agrees with the sharpest truth at its point."),
    ulps=(REAL, "Largest error of an entry, in units in the last place of its truth."),
    radius_bits=(INTEGER, "b of the widest enclosure value·(1 ± 2⁻ᵇ); missing where some truth is not enclosed."),
    oracle=(TEXT, "Where the truths come from."),
    comparisons=(INTEGER, "Gradients compared: points × inputs."),
    input=(TEXT, "Input whose gradient has the fewest digits."),
    point=(TEXT, "Point where it has."),
    dims=(TEXT, "Sizes at that point."),
)

CURVES = _schema(
    **_KEY,
    label=(TEXT, "Derivative the curve is about."),
    step_size=(REAL, "Finite-difference step."),
    error=(REAL, "Error of the central difference at that step."),
    extrapolated_error=(REAL, "Error of the twice-extrapolated (Richardson) estimate at that step."),
    chosen=(FLAG, "Whether the ladder chose this step."),
)

NODES = _schema(
    **_KEY,
    node=(TEXT, "Name of a value of the computation graph."),
    label=(TEXT, "Input name, constant or operator."),
    kind=(TEXT, "input, constant, operator or output."),
    value=(TEXT, "The number, or shape and range."),
)

EDGES = _schema(
    **_KEY,
    source=(TEXT, "Node a value comes from."),
    target=(TEXT, "Node computed from it."),
    partial=(TEXT, "Local derivative ∂target/∂source."),
)

CONVERGE = _schema(
    **_DESCENT,
    seed=(INTEGER, "Seed of the run."),
    outcome=(TEXT, "pass: the descent arrived as declared."),
    message=(TEXT, "The result in words."),
    entry=(INTEGER, "Position under the case's `converge`."),
    run=(TEXT, "Optimizer with options and gradient source."),
    optimizer=(TEXT, "Optimizer."),
    dimension=(INTEGER, "Number of parameters; missing where there are too many to be listed."),
    start=(TEXT, "Where it started; missing where there are many parameters."),
    gradient_source=(TEXT, "autograd, or the case's analytic gradient."),
    device=(TEXT, "Device."),
    dtype=(TEXT, "Number type."),
    status=(TEXT, "hit · stalled · diverged · budget (steps used up) · error"),
    steps=(INTEGER, "Steps taken."),
    gradient_evaluations=(INTEGER, "Gradients evaluated."),
    steps_to_tolerance=(INTEGER, "First step within tolerance of the minimum; missing: never."),
    evaluations_to_tolerance=(INTEGER, "Gradients evaluated before the point it arrived at; missing: never."),
    tolerance=(REAL, "Largest distance from the minimum that counts as arrived."),
    first_loss=(REAL, "Loss at the start, f₀."),
    best_loss=(REAL, "Smallest loss of any step."),
    minimum_loss=(REAL, "Loss at the minimum it reached or is nearest to, f*."),
    final_loss=(REAL, "Loss after the last step."),
    final_error=(REAL, "Distance from the minimum after the last step (largest parameter)."),
    best_error=(REAL, "Smallest distance from the minimum on the way."),
    minimum_source=(TEXT, "Where the expected minimum comes from."),
    minimum=(TEXT, "The expected minimum."),
    final=(TEXT, "Where the descent ended."),
    observed_rate=(REAL, "Factor the distance shrinks by per step, measured."),
    theoretical_rate=(REAL, "The same factor predicted for a quadratic, from the eigenvalues of I − lr·H."),
    learning_rate_bound=(REAL, "2/λmax: gradient descent on a quadratic diverges above this learning rate."),
    metric=(TEXT, "Further numbers, such as accuracy."),
    duration_s=(REAL, "Wall-clock time in seconds."),
    excused=(TEXT, "Reason the case file gives for a failure it declares."),
    expect=(TEXT, "How the case file says it ends: arrives, misses or diverges."),
    reason=(TEXT, "Why the case file does not expect it to arrive."),
    command=(TEXT, "Command that repeats the run."),
)

TARGETS = _schema(
    **_DESCENT,
    seed=(INTEGER, "Seed of the run."),
    optimizer=(TEXT, "Optimizer."),
    tau=(REAL, "τ of the loss to come down to, f* + τ(f₀ − f*): the share of the way that is left."),
    loss=(REAL, "That loss."),
    step=(INTEGER, "First step at which the best loss so far was there; missing: never."),
    evaluations=(INTEGER, "Gradients evaluated before that point; missing: never."),
)

TRAJECTORY = _schema(
    **_DESCENT,
    seed=(INTEGER, "Seed of the run."),
    step=(INTEGER, "Step of the descent."),
    loss=(REAL, "Loss at that step."),
    error=(REAL, "Distance from the minimum (largest parameter)."),
    gradient_norm=(REAL, "Norm of the gradient."),
    parameters=(REALS, "All parameters, flattened, where there are few."),
)

RATES = _schema(
    **_KEY,
    sweep=(TEXT, "Optimizer with its options but the learning rate, gradient source and place in the case."),
    outcome=(TEXT, "pass: some learning rate works."),
    message=(TEXT, "The sweep's result in words."),
    rate=(REAL, "Learning rate."),
    status=(TEXT, "works: every seed arrived · diverges: some seed did · censored: some seed would need more steps."),
    seed=(INTEGER, "Seed of the descent."),
    steps=(INTEGER, "Steps to arrival; missing: did not arrive within the steps there were."),
    loss=(REAL, "Loss where the descent ended; missing: not finite."),
    budget=(INTEGER, "Most steps of a descent."),
    in_basin=(FLAG, "Whether the rate lies in the basin: the largest unbroken run of rates that work."),
    best=(FLAG, "Whether it is the rate of the basin that arrives soonest, by the median over seeds."),
    basin_decades=(REAL, "Width of the basin, log₁₀ of its highest over its lowest rate; missing: no rate works."),
    basin_open=(FLAG, "Whether the basin reaches an end of the grid, beyond which it may go on."),
)

CONTOURS = _schema(
    **_DESCENT,
    x_label=(TEXT, "Parameter along x."),
    y_label=(TEXT, "Parameter along y."),
    x=(REAL, "Value of the first parameter."),
    y=(REAL, "Value of the second parameter."),
    loss=(REAL, "Loss there."),
)

FITS = _schema(
    **_DESCENT,
    x_label=(TEXT, "What runs along x."),
    y_label=(TEXT, "What runs along y."),
    step=(INTEGER, "Step of the descent the prediction belongs to; missing: the data."),
    x=(REAL, "Abscissa."),
    y=(REAL, "Datum or prediction."),
)

TIMINGS = _schema(
    **_KEY,
    outcome=(TEXT, "pass: timed; skipped: could not be, with the reason as message."),
    message=(TEXT, "The result in words, or why there is none."),
    **_PASS | {"what": (TEXT, "What was timed: value · forward · backward · forward_backward · jacobian · step.")},
    dtype=(TEXT, "Number type."),
    **_SIZES,
    median_s=(REAL, "Median time per call in seconds."),
    low_s=(REAL, "Lower end of the median's interval."),
    high_s=(REAL, "Upper end of the median's interval."),
    confidence=(REAL, "Confidence of that interval."),
    n=(INTEGER, "Number of samples."),
    inner=(INTEGER, "Calls per sample."),
    samples=(REALS, "Seconds per call of every sample."),
    first_call_s=(REAL, "Time of the first call (compilation, caches)."),
    peak_memory_bytes=(INTEGER, "Peak memory during the pass in bytes."),
    steady=(FLAG, "Whether the times had settled when the samples were taken."),
    threads=(INTEGER, "Threads torch computed with on the CPU."),
    cold_s=(REAL, "Median device time of calls that find an L2 cache full of something else."),
    host_s=(REAL, "Median host time until a call has returned, its work being queued."),
    end_to_end_s=(REAL, "Median host time from the start of a call until the device has finished it."),
    throttled_samples=(INTEGER, "Samples taken while the device was throttled; such a timing decides nothing."),
    launch_exposed=(INTEGER, "Samples that began before their calls were queued; launch latency may be in them."),
    notes=(TEXT, "Why a figure of the device is missing."),
    compile_s=(REAL, "What the compiler took for the code that the pass runs."),
    operator_calls=(INTEGER, "Operators of torch's dispatcher that one call runs, counted exactly."),
    flops=(INTEGER, "Floating-point operations of a call's matrix products, convolutions and attention."),
    bytes_moved=(INTEGER, "Least traffic of a call with memory, in bytes."),
    saved_bytes=(INTEGER, "Bytes that autograd saves for the backward pass, beside inputs."),
    saved_input_bytes=(INTEGER, "Bytes of inputs that autograd keeps alive for the backward pass."),
)

SCALINGS = _schema(
    **_KEY,
    **_PASS,
    exponent=(REAL, "p of time ∝ sizeᵖ."),
    low=(REAL, "Lower end of the exponent's interval."),
    high=(REAL, "Upper end of the exponent's interval."),
    points=(INTEGER, "Sizes the fit is over."),
)

CROSSOVERS = _schema(
    **_KEY,
    **_PASS | {"device": (TEXT, "The accelerator.")},
    by=(TEXT, "Its time that is compared with the CPU's: its own, or end to end."),
    status=(TEXT, "crosses, always, never, mixed or inconclusive; about the sizes measured, and not beyond them."),
    elements=(REAL, "Elements of the inputs from which the accelerator is faster."),
    low=(REAL, "Lower end of that size's interval; missing: below the smallest size measured."),
    high=(REAL, "Upper end of that size's interval; missing: above the largest size measured."),
    smallest=(INTEGER, "Elements of the smallest inputs timed on both."),
    largest=(INTEGER, "Elements of the largest inputs timed on both."),
    message=(TEXT, "The result in words."),
)

AGREEMENTS = _schema(
    **_KEY,
    of=(TEXT, "value, or the input whose gradient it is."),
    device=(TEXT, "The accelerator."),
    dtype=(TEXT, "Number type."),
    **_SIZES,
    cpu_error=(REAL, "Relative error (L2) of the CPU's result, against float64."),
    device_error=(REAL, "Relative error (L2) of the accelerator's result, against the same."),
    precision=(TEXT, "What float32 products may be rounded to on the accelerator."),
    message=(TEXT, "Why an error is missing, or what to know of it."),
)

SPEEDUPS = _schema(
    **_CASE,
    **_PASS,
    **_SIZES,
    against=(TEXT, "What it is compared with: the same pass on the CPU, or by autograd on the same device."),
    by=(TEXT, "An accelerator's time that is compared: its own, or end to end, the host's until it has finished."),
    median_s=(REAL, "Median time per call in seconds."),
    against_median_s=(REAL, "Median time per call of what it is compared with."),
    ratio=(REAL, "How many times faster; below 1 is slower."),
    low=(REAL, "Lower end of the ratio's interval."),
    high=(REAL, "Upper end of the ratio's interval."),
    confidence=(REAL, "Confidence of that interval."),
    decision=(TEXT, "slower, same, faster or inconclusive: where the whole interval lies relative to ±3 %."),
    because=(TEXT, "Why it was decided so, or why nothing can be."),
    mde=(REAL, "Smallest relative slow-down that so many samples of such a spread find with 90 % power."),
    n=(INTEGER, "Samples the ratio is over: pairs from the same rounds, or those of the side that has fewer."),
    paired=(FLAG, "Whether both were sampled in the same rounds, so that what slows a round falls out of the ratio."),
    steady=(FLAG, "Whether the times of both had settled when the samples were taken."),
    reason=(TEXT, "Why there is no ratio."),
)

DETECTION = _schema(
    decade=(INTEGER, "k of the interval (10ᵏ⁻¹, 10ᵏ] that a detection limit falls in."),
    cases=(INTEGER, "Cases in it."),
)

CEILINGS = _schema(
    device=(TEXT, "Device."),
    dtype=(TEXT, "Number type of the matrices."),
    bytes_per_s=(REAL, "Bytes per second of a copy far larger than the caches, read and written added up."),
    flops_per_s=(REAL, "FLOPs per second of a product of two square matrices."),
    copy_bytes=(INTEGER, "Bytes of the tensor that was copied."),
    matrix_rows=(INTEGER, "Rows of the matrices."),
    threads=(INTEGER, "Threads torch computed with on the CPU."),
)

ROOFLINE = _schema(
    **_KEY,
    **_PASS,
    dtype=(TEXT, "Number type."),
    **_SIZES,
    median_s=(REAL, "Median time per call in seconds."),
    flops=(INTEGER, "Floating-point operations of a call's matrix products, convolutions and attention."),
    bytes_moved=(INTEGER, "Least traffic of a call with memory, in bytes."),
    flops_per_s=(REAL, "FLOPs of a call over its median time."),
    bytes_per_s=(REAL, "Bytes of a call over its median time."),
    intensity=(REAL, "FLOPs per byte."),
    most_flops_per_s=(REAL, "Ceiling: FLOPs per second of a product of two matrices, measured in the same run."),
    most_bytes_per_s=(REAL, "Ceiling: bytes per second of a copy, measured in the same run."),
    least_s=(
        REAL,
        "Least time the ceilings allow: that of its bytes at the copy's rate, or of its FLOPs at the product's.",
    ),
    share=(REAL, "That time over the median time; above 1 its data stayed in a cache."),
    bound=(TEXT, "Which of the two ceilings is the lower one: memory or compute."),
)

GATE = _schema(
    workload=(TEXT, "What was timed on both sides: case, pass, sizes, number type and device."),
    decision=(TEXT, "slower, inconclusive, faster or same; final, after confirmation and correction."),
    message=(TEXT, "The result in words."),
    ratio=(REAL, "Time of head over time of base."),
    low=(REAL, "Lower end of the ratio's interval."),
    high=(REAL, "Upper end of the ratio's interval."),
    threshold=(REAL, "Relative difference that matters: the margin, or the absolute floor where that is larger."),
    mde=(REAL, "Smallest relative slow-down that would have been found with 90 % power."),
    p=(REAL, "One-sided p-value of a slow-down, corrected for the number of rows."),
)

GATE_SAMPLES = _schema(
    workload=(TEXT, "What was timed on both sides."),
    pair=(INTEGER, "Pair of processes: 0 screened the row, the others, from 1, confirmed it."),
    number=(INTEGER, "Position of the sample in its pair of processes, from 0."),
    ratio=(REAL, "Time of head over time of base, of two samples taken within milliseconds."),
)

RESULT_TABLES = {
    "case": CASES,
    "job": JOBS,
    "finding": FINDINGS,
    "curve": CURVES,
    "converge": CONVERGE,
    "target": TARGETS,
    "trajectory": TRAJECTORY,
    "rate": RATES,
    "timing": TIMINGS,
    "scaling": SCALINGS,
    "speedup": SPEEDUPS,
}
"""The tables that `results.parquet` stacks, by the word in its column `kind`."""


def _stacked() -> pa.Schema:
    head = _schema(
        run_id=(TEXT, "Name of the run."),
        started=(TEXT, "When the run started, ISO 8601, UTC."),
        kind=(TEXT, "What the row is: " + ", ".join(RESULT_TABLES) + "."),
    )
    fields = {field.name: field for schema in (head, *RESULT_TABLES.values()) for field in reversed(schema)}
    order = dict.fromkeys(name for schema in (head, *RESULT_TABLES.values()) for name in schema.names)
    return pa.schema([fields[name] for name in order])


RESULTS = _stacked()
"""Columns of the one long frame: the union of those of its tables; a column a table lacks is missing in its rows."""


def meanings(schema: pa.Schema) -> dict[str, str]:
    """Return what each column of a frame means, by its name."""
    return {field.name: field.metadata[b"description"].decode() for field in schema}
