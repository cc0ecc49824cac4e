"""Write docs/cases.md, the reference of case files, from the schema, the draws and the function table.

Nothing in the reference is written by hand except the sentences in this file, so it cannot fall behind the code:
`python docs/generate.py` writes it, `python docs/generate.py --check` says whether it is up to date.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typing_extensions import TypeAliasType

from harness.case.draws import ARITIES
from harness.case.expression import ATTRIBUTES, MAX_DEPTH, MAX_EXPONENT, MAX_LENGTH, MAX_NODES
from harness.case.functions import CONSTANTS, FUNCTIONS, TEXT_KEYWORDS, Function
from harness.case.schema import CaseModel, ExpressionText, Name, PythonRef, Size, Value

TARGET = Path(__file__).with_name("cases.md")

INTRODUCTION = """\
# Case files

<!-- Written by docs/generate.py; do not edit. -->

A case file is YAML, with one case per document (documents are separated by `---`). Unknown keys are faults, and all
faults of all files are reported at once, each as `file.yaml:line:column: message`. Editors complete keys when a file
begins with `# yaml-language-server: $schema=<path to>/case.schema.json`; the schema lies in `cases/`.

A **value** is a number, an expression of constants such as `pi/2` or `2 + 3j`, or nested lists of them. A **decimal**
in a claim counts as rounded to its last printed digit: `0.9894` stands for anything from 0.98935 to 0.98945, `1.0` for
anything from 0.95 to 1.05. Integers and expressions are exact.
"""

EXPRESSIONS = f"""\
## Expressions

Expressions are written in Python's syntax and checked against a whitelist; nothing else can be called or reached, and
there is no `eval`. They may use the inputs, the dims (as whole numbers), what `let` names, and:

- the operators `+ - * / ** @`, `// %` on sizes, comparisons, `& | ~` on conditions (there is no `if`: use
  `where(c, a, b)`);
- subscripts and slices, as in `X[:, 0]` or `x[1:n]`;
- the attributes {", ".join(f"`.{name}`" for name in ATTRIBUTES)};
- the constants {", ".join(f"`{name}`" for name in CONSTANTS)}, and complex numbers such as `2 + 3j`;
- the functions below. Lists stand only inside calls, as in `stack([a, b])`.

An expression has at most {MAX_LENGTH:,} characters, {MAX_NODES:,} parts, {MAX_DEPTH} levels and constant exponents up
to {MAX_EXPONENT:,}.
"""

DRAWS = {
    "normal": "standard normal",
    "uniform": "uniform between two numbers, 0 and 1 when left out; finite differences stay between them",
    "positive": "above zero",
    "integers": "whole numbers from the first up to, and without, the second",
    "spd": "a symmetric positive definite matrix",
    "symmetric": "a symmetric matrix",
    "simplex": "positive, with sum 1",
    "sorted": "ascending",
    "unit": "a vector of length 1",
    "orthogonal": "a matrix with orthonormal rows or columns",
    "permutation": "the whole numbers below n, in some order",
    "mask": "true or false, with the probability of true",
    "choice": "one of the arguments",
    "digits_images": "the first n images of scikit-learn's digits, [n, 64], pixels from 0 to 1; skipped without it",
    "digits_labels": "which digits those images show, [n]",
}

_NAMES: dict[Any, str] = {
    Name: "name",
    ExpressionText: "expression",
    Size: "size",
    Value: "value",
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    NoneType: "nothing",
}


def reference() -> str:
    """The whole text of the reference."""
    parts = [INTRODUCTION, *(_model(model, title) for title, model in _models()), EXPRESSIONS, _functions(), _draws()]
    return "\n".join(parts)


def main(arguments: Sequence[str]) -> int:
    """Write the reference, or with ``--check`` return 1 when the written one is out of date."""
    text = reference()
    if "--check" not in arguments:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if TARGET.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{TARGET} is out of date. Run: python docs/generate.py\n")
    return 1


def _models() -> Iterator[tuple[str, type[BaseModel]]]:
    """Every model below a case, each once, in the order of the keys that hold it, with that key as its title."""
    waiting: list[tuple[str, type[BaseModel]]] = [("A case", CaseModel)]
    seen: set[type[BaseModel]] = set()
    while waiting:
        title, model = waiting.pop(0)
        if model in seen:
            continue
        seen.add(model)
        yield title, model
        prefix = "" if model is CaseModel else f"{title.strip('`')}."
        inner = [
            (f"`{prefix}{key}`", part)
            for key, field in model.model_fields.items()
            for part in _inner_models(field.annotation)
        ]
        waiting[:0] = [("`{python: …}`", part) if part is PythonRef else (name, part) for name, part in inner]


def _inner_models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _inner_models(part)


def _model(model: type[BaseModel], title: str) -> str:
    """One table: the keys of a model."""
    rows = ["| key | what it takes | default | meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{field.alias or key}` | {_type(field)} | {_default(field)} | {_text(field)} |"
        for key, field in model.model_fields.items()
    ]
    return "\n".join([f"## {title}", "", _paragraph(model.__doc__ or ""), "", *rows, ""])


def _type(field: FieldInfo) -> str:
    annotation = field.annotation
    bounds = [f"at least {part.ge}" for part in field.metadata if hasattr(part, "ge")]
    bounds += [f"above {part.gt}" for part in field.metadata if hasattr(part, "gt")]
    bounds += [f"at most {part.le}" for part in field.metadata if hasattr(part, "le")]
    return ", ".join([_named(annotation), *bounds]).replace("|", "\\|")


def _named(annotation: Any) -> str:
    """A type in plain words."""
    for known, name in _NAMES.items():
        if annotation is known or annotation == known:
            return name
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " ".join(f"`{value}`" for value in arguments)
    if origin is Annotated:
        return _named(arguments[0])
    if origin is list:
        return f"list of {_named(arguments[0])}"
    if origin is dict:
        return f"{_named(arguments[0])}: {_named(arguments[1])}, …"
    if origin in (Union, UnionType):
        names = [
            _named(part) for part in arguments if part is not NoneType and not (part is int and float in arguments)
        ]
        return " or ".join(dict.fromkeys(names))
    if isinstance(annotation, TypeAliasType):
        return str(annotation.__name__).lower()
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "`{python: …}`" if annotation is PythonRef else "mapping (below)"
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.default
    if value is None or value in ({}, [], "") or isinstance(value, BaseModel):
        return ""
    if isinstance(value, list):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _text(field: FieldInfo) -> str:
    return _paragraph(field.description or "").replace("|", "\\|")


def _paragraph(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _functions() -> str:
    rows = ["### Functions", "", "| function | arguments | keywords | computed by |", "|---|---|---|---|"]
    rows += [
        f"| `{function.name}` | {_arguments(function)} | {_keywords(function)} | {_target(function)} |"
        for function in sorted(FUNCTIONS.values(), key=lambda function: function.name)
    ]
    return "\n".join([*rows, ""])


def _arguments(function: Function) -> str:
    if function.most is None:
        return f"{function.least} or more"
    return str(function.least) if function.least == function.most else f"{function.least}–{function.most}"


def _keywords(function: Function) -> str:
    words = {key: f"`{key}` ({' '.join(TEXT_KEYWORDS[key])})" for key in function.keywords if key in TEXT_KEYWORDS}
    return ", ".join(words.get(key, f"`{key}`") for key in sorted(function.keywords))


def _target(function: Function) -> str:
    return f"`{function.target}`" if function.target.startswith("torch.") else "torch, with plain arguments"


def _draws() -> str:
    missing = ARITIES.keys() ^ DRAWS.keys()
    if missing:
        names = ", ".join(sorted(missing))
        raise LookupError(f"Cannot describe the draws: {names} differ from the code. Edit DRAWS in {__file__}.")
    rows = ["## Draws", "", "| draw | arguments | values |", "|---|---|---|"]
    for name, (least, most) in ARITIES.items():
        count = f"{least} or more" if most is None else str(least) if least == most else f"{least}–{most}"
        rows.append(f"| `{name}` | {count} | {DRAWS[name]} |")
    return "\n".join([*rows, ""])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
