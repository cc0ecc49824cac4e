"""The JSON Schema editors use: it is the one the models give."""

from __future__ import annotations

from pathlib import Path

from harness.case.jsonschema import case_schema, schema_text

ROOT = Path(__file__).parents[2]


def test_the_committed_schema_is_up_to_date():
    """`cases/case.schema.json` is what the models say now."""
    assert (ROOT / "cases" / "case.schema.json").read_text(encoding="utf-8") == schema_text()


def test_numbers_may_stand_for_expressions():
    """Where the loader takes a number for an expression, editors take it too, and unknown keys are refused."""
    schema = case_schema()
    (let,) = schema["properties"]["let"]["patternProperties"].values()
    assert let["type"] == ["string", "number"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["title"]["type"] == "string"
