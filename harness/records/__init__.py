"""What every part of the harness speaks: outcomes, findings and the records a run is made of.

Records are frozen values of numbers, strings, enums, tuples and records. They hold no tensors; unknown is None,
and failed is an outcome with a reason. This package imports nothing of ours and neither torch nor numpy, so that
reading results needs none of them. How records are written to disk is `harness.run.journal`'s job.
"""

from harness.records.convergence import (
    Basin,
    BlessedCount,
    Contour,
    ConvergeRecord,
    Fit,
    SweepRecord,
    SweptRate,
    Target,
    TrajectoryPoint,
)
from harness.records.outcomes import (
    ExitCode,
    Outcome,
    worst,
)
from harness.records.run import (
    RECORD_VERSION,
    CaseRecord,
    Environment,
    Run,
    RunFooter,
    RunHeader,
)
from harness.records.timing import (
    Agreement,
    BenchmarkRecord,
    Ceilings,
    Counts,
    Crossover,
    DeviceState,
    DeviceTimes,
    Measured,
    Scaling,
    Timing,
)
from harness.records.verification import (
    Catch,
    Curve,
    DetectionPower,
    Diagnosis,
    Finding,
    Graph,
    GraphEdge,
    GraphNode,
    Precision,
    Survivor,
    VerifyRecord,
)

__all__ = [
    "RECORD_VERSION",
    "Agreement",
    "Basin",
    "BenchmarkRecord",
    "BlessedCount",
    "CaseRecord",
    "Catch",
    "Ceilings",
    "Contour",
    "ConvergeRecord",
    "Counts",
    "Crossover",
    "Curve",
    "DetectionPower",
    "DeviceState",
    "DeviceTimes",
    "Diagnosis",
    "Environment",
    "ExitCode",
    "Finding",
    "Fit",
    "Graph",
    "GraphEdge",
    "GraphNode",
    "Measured",
    "Outcome",
    "Precision",
    "Run",
    "RunFooter",
    "RunHeader",
    "Scaling",
    "Survivor",
    "SweepRecord",
    "SweptRate",
    "Target",
    "Timing",
    "TrajectoryPoint",
    "VerifyRecord",
    "worst",
]
