"""Which schemas a provider takes, and schemas that are only spoken of in the prompt."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from workbench.simulator.refusal import Reason, Refusal

_BOUNDS = frozenset(
    """
    minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength maxItems uniqueItems
    minProperties maxProperties
    """.split()  # noqa: SIM905 - a block of words reads better than a column of them
)
_TABLES = ("properties", "$defs", "definitions")


def check_openai(name: str, schema: Mapping[str, Any], parameter: str, *, strict: bool) -> None:
    """An object at the top; with `strict` every object closed and all its properties required."""
    said = f"Invalid schema for response_format '{name}': "
    if schema.get("type") != "object":
        kind = schema.get("type")
        raise _invalid(f"{said}schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind}\"'.", parameter)
    if not strict:
        return
    for path, inner in _objects(schema, ()):
        where = f"In context={path}, "
        if inner.get("additionalProperties") is not False:
            text = f"{said}{where}'additionalProperties' is required to be supplied and to be false."
            raise _invalid(text, parameter)
        missing = [name for name in inner.get("properties", {}) if name not in inner.get("required", ())]
        if missing:
            raise _invalid(
                f"{said}{where}'required' is required to be supplied and to be an array including every key in "
                f"properties. Missing '{missing[0]}'.",
                parameter,
            )


def check_anthropic(schema: Mapping[str, Any]) -> None:
    """Every object closed, and none of the bounds that its decoding does not know."""
    said = "output_config.format.schema: "
    for _, inner in _schemas(schema, ()):
        if inner.get("type") == "object" and inner.get("additionalProperties") is not False:
            raise _invalid(f"{said}For 'object' type, 'additionalProperties' must be explicitly set to false", None)
        for name in inner:
            if name in _BOUNDS or (name == "minItems" and inner[name] not in (0, 1)):
                raise _invalid(f"{said}For '{inner.get('type')}' type, property '{name}' is not supported", None)


def schema_in_words(text: str) -> Mapping[str, Any] | None:
    """The schema behind the last mention of a JSON schema in a prompt: a model that is told does as it is told."""
    _, mentioned, rest = text.rpartition("JSON schema")
    start = rest.find("{")
    if not mentioned or start < 0:
        return None
    try:
        found, _ = json.JSONDecoder().raw_decode(rest[start:])
    except ValueError:
        return None
    return found if isinstance(found, Mapping) else None


def _invalid(message: str, parameter: str | None) -> Refusal:
    return Refusal(Reason.BAD_VALUE, message, parameter=parameter)


def _objects(schema: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    return ((where, inner) for where, inner in _schemas(schema, path) if inner.get("type") == "object")


def _schemas(schema: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    if not isinstance(schema, Mapping):
        return
    yield path, schema
    for table in _TABLES:
        for name, inner in schema.get(table, {}).items():
            yield from _schemas(inner, (*path, table, name))
    yield from _schemas(schema.get("items"), (*path, "items"))
    for combiner in ("anyOf", "oneOf", "allOf"):
        for index, inner in enumerate(schema.get(combiner, ())):
            yield from _schemas(inner, (*path, combiner, str(index)))
