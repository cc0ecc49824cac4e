"""`converge` entries of a case: what their keys ask of the case and of each other. Nothing runs; no torch."""

from __future__ import annotations

from collections.abc import Iterator

from harness.case.declared import shaped
from harness.case.documents import Path, Problem
from harness.case.draws import ARITIES, parse_draw
from harness.case.schema import ConvergeModel
from harness.case.scope import Scope, expression, known, resizable
from harness.case.values import WORDS
from harness.errors import UsageError


def converge_entries(scope: Scope) -> Iterator[Problem]:
    """Yield problems of a case's `converge` entries."""
    for index, entry in enumerate(scope.model.converge):
        path: Path = ("converge", index)
        yield from _parameters(path, entry, scope)
        for position, name in enumerate(entry.fresh):
            yield from known((*path, "fresh", position), name, scope.inputs, "input", at_key=False)
        for name in entry.dims:
            yield from resizable((*path, "dims", name), name, scope)
        if entry.gradient == "analytic" and scope.model.gradient is None:
            yield Problem(
                (*path, "gradient"), "the analytic gradient is asked for, but the case declares no `gradient`"
            )
        if entry.expect == "misses" and not (entry.reason or "").strip():
            yield Problem((*path, "expect"), "a descent that is expected to miss needs a `reason`")
        if entry.digits is not None and entry.minimum is None:
            yield Problem((*path, "digits"), "`digits` are those of a minimum, and the entry gives none", at_key=True)
        if entry.digits is not None and "within" in entry.model_fields_set:
            yield Problem((*path, "digits"), "`digits` and `within` both say what arriving is; keep one", at_key=True)
        yield from _batches(path, entry, scope)
        yield from (Problem((*path, key), words) for key, words in _loop(entry, module=scope.python))
        yield from _shown(path, entry, scope)


def _parameters(path: Path, entry: ConvergeModel, scope: Scope) -> Iterator[Problem]:
    """What is said by input: where a descent starts, where it should end, and what was printed about its end."""
    minimum = entry.minimum if isinstance(entry.minimum, dict) else {}
    for key, values in (("start", entry.start), ("minimum", minimum), ("published", entry.published)):
        for name, value in values.items():
            place = (*path, key, name)
            spec = scope.model.inputs.get(name)
            if spec is None and not scope.python:
                yield from known(place, name, scope.inputs, "input")
            if key == "start" and isinstance(value, str) and _is_draw(value):
                yield from _start_draw(place, value)
            elif spec is not None and (key == "published" or not isinstance(value, int | float)):
                # A start or a minimum that is one number stands for every entry.
                yield from shaped(place, value, spec, scope, {}, several=key == "minimum")


def _is_draw(text: str) -> bool:
    return text not in WORDS and text.split("(")[0].strip() in ARITIES


def _start_draw(path: Path, text: str) -> Iterator[Problem]:
    try:
        parse_draw(text)
    except UsageError as error:
        yield Problem(path, str(error))


def _batches(path: Path, entry: ConvergeModel, scope: Scope) -> Iterator[Problem]:
    if entry.batches is None:
        return
    along = entry.batches.along
    explicit = "along" in entry.batches.model_fields_set
    place = (*path, "batches", "along") if explicit else (*path, "batches")
    unknown = list(known(place, along, scope.sizes, "dim", at_key=False))
    yield from unknown
    if not unknown and not any(spec.shape[:1] == [along] for spec in scope.model.inputs.values()):
        yield Problem(place, f"no input has {along!r} as its first dim, so there is nothing to take batches of")


def _loop(entry: ConvergeModel, *, module: bool) -> Iterator[tuple[str, str]]:
    """Keys of a training loop that ask for what cannot be; `module`: the subject is code, which may be a module."""
    if entry.accumulate > 1 and entry.batches is None:
        yield "accumulate", "gradients are accumulated over mini-batches, and the entry declares no `batches`"
    if entry.schedule is not None and entry.schedule.every == "epoch" and entry.batches is None:
        yield "schedule", "`every: epoch` needs epochs, and the entry declares no `batches`"
    if entry.clip is not None and (entry.clip.norm is None) == (entry.clip.value is None):
        yield "clip", "say either `norm` or `value`"
    if entry.autocast is not None and entry.dtype != "float32":
        yield "autocast", "mixed precision needs float32 parameters: set `dtype: float32`"
    if entry.gradient == "analytic" and (entry.accumulate > 1 or entry.autocast is not None):
        yield "gradient", "gradient accumulation and mixed precision are autograd's: leave out `gradient: analytic`"
    if entry.resume and entry.fresh:
        yield "resume", "fresh inputs have no loader whose place could be stored; use `batches`"
    if entry.moved and not module:
        yield "moved", "only a module can be moved; the case's function is an expression"


def _shown(path: Path, entry: ConvergeModel, scope: Scope) -> Iterator[Problem]:
    """Expressions evaluated for the report and for the score."""
    names = scope.names | {"output"} if scope.python else scope.names
    if entry.fit is not None:
        for key in ("x", "y", "prediction"):
            yield from expression((*path, "fit", key), getattr(entry.fit, key), names)
    if entry.accuracy is not None:
        yield from expression((*path, "accuracy", "scores"), entry.accuracy.scores, names)
        yield from known((*path, "accuracy", "labels"), entry.accuracy.labels, scope.inputs, "input", at_key=False)
