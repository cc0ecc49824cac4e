"""The JSON Schema of case files, generated from the models, so that editors complete and check them while typing."""

from __future__ import annotations

import json
from typing import Any

from harness.case.schema import CaseModel


def case_schema() -> dict[str, Any]:
    """The JSON Schema of one case document.

    Numbers are allowed where expressions stand, as the loader allows them.
    """
    schema = CaseModel.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "A case of the harness"
    properties = schema["properties"]
    for key in ("let", "function", "residuals", "gradient", "reference"):
        properties[key] = _with_numbers(properties[key])
    schema["required"].remove("function")
    schema["oneOf"] = [{"required": ["function"]}, {"required": ["residuals"]}]
    return schema


def schema_text() -> str:
    """The schema as it is committed."""
    return json.dumps(case_schema(), indent=2, ensure_ascii=False) + "\n"


def _with_numbers(schema: Any) -> Any:
    """A schema in which plain numbers may stand wherever text may."""
    if isinstance(schema, list):
        return [_with_numbers(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "string":
        return {**schema, "type": ["string", "number"]}
    return {key: value if key == "propertyNames" else _with_numbers(value) for key, value in schema.items()}
