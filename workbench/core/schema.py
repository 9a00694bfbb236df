"""Structured output: one JSON schema out of whatever a caller has, and answers that are checked against it.

A schema may be given as a JSON schema, a dataclass, a TypedDict, a msgspec struct or a pydantic model; what comes back
is an object of the same kind (a dictionary for a bare JSON schema). The provider's own constrained decoding is an aid;
the check here is what counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from workbench.core.decoding import NOT_JSON
from workbench.core.errors import InvalidOutput, UsageError
from workbench.core.types import Json

_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)\n?```", re.DOTALL | re.IGNORECASE)

_NAME = re.compile(r"[^A-Za-z0-9_-]+")

_TABLES = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Keywords that hold schemas by name."""
_VALUES = frozenset({"enum", "const", "default", "examples"})
"""Keywords that hold data, whatever it looks like."""


@dataclass(frozen=True, slots=True)
class OutputSchema:
    """What an answer must look like. Made by `schema_from`."""

    name: str
    """What providers call it: letters, digits, _ and -, at most 64."""
    schema: Mapping[str, Any]
    build: Callable[[Any], Any]
    """Plain JSON data to the caller's own kind; raises ValueError or msgspec.ValidationError."""

    def parse(self, text: str) -> Any:
        """The object in an answer's text, which may stand in a code fence or among words.

        Raises InvalidOutput with the place and the reason, in words that a model can repair its answer by.
        """
        data = _json_in(text)
        # 60 ms to import, and only needed by those who ask for a schema.
        from jsonschema import ValidationError
        from jsonschema.validators import validator_for

        try:
            validator_for(self.schema)(self.schema).validate(data)
            return self.build(data)
        except ValidationError as exc:
            raise InvalidOutput(f"at {exc.json_path}: {exc.message}", text=text) from exc
        except (ValueError, msgspec.ValidationError) as exc:
            raise InvalidOutput(str(exc), text=text) from exc

    @property
    def is_closed(self) -> bool:
        """True when every object names all its properties, requires them and allows no others: what OpenAI's strict
        mode demands. Others are sent without it and checked here all the same."""
        return _is_closed(self.schema)

    @property
    def response_format(self) -> dict[str, Json]:
        """The schema in OpenAI's words, which every wire family translates. Objects that do not say whether they may
        have more properties are sent as if they may not: what fits the narrower schema fits the caller's too."""
        sent = narrowed(self.schema)
        shape: dict[str, Json] = {"name": self.name, "schema": sent, "strict": _is_closed(sent)}
        return {"type": "json_schema", "json_schema": shape}

    @property
    def in_words(self) -> str:
        """What a model is told where its provider cannot hold it to a schema."""
        written = msgspec.json.encode(self.schema, order="sorted").decode()
        return f"Answer with JSON only, without a code fence, that fits this JSON schema:\n{written}"


def schema_from(wanted: Any) -> OutputSchema:
    """Raises UsageError for something that is no schema, or a JSON schema that is not valid itself."""
    if isinstance(wanted, OutputSchema):
        return wanted
    if isinstance(wanted, Mapping):
        return _from_json_schema(wanted)
    if hasattr(wanted, "model_json_schema") and hasattr(wanted, "model_validate"):
        return OutputSchema(_name(wanted.__name__), wanted.model_json_schema(), wanted.model_validate)
    try:
        schema = msgspec.json.schema(wanted)
    except TypeError as exc:
        raise UsageError(f"No schema can be made of {wanted!r}: {exc}.") from exc
    name = getattr(wanted, "__name__", "") or "answer"
    return OutputSchema(_name(name), _inlined(schema), lambda data: msgspec.convert(data, wanted))


def wanted_schema(wanted: Any) -> OutputSchema | None:
    """The same where None asks for plain text."""
    return None if wanted is None else schema_from(wanted)


def _from_json_schema(schema: Mapping[str, Any]) -> OutputSchema:
    from jsonschema import SchemaError
    from jsonschema.validators import validator_for

    try:
        validator_for(schema).check_schema(dict(schema))
    except SchemaError as exc:
        raise UsageError(f"This is not a valid JSON schema: at {exc.json_path}: {exc.message}.") from exc
    return OutputSchema(_name(str(schema.get("title") or "answer")), schema, lambda data: data)


def _inlined(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """msgspec puts even the outermost object behind a `$ref`, which OpenAI and Gemini refuse at the top."""
    definitions = schema.get("$defs", {})
    if set(schema) - {"$defs"} != {"$ref"}:
        return schema
    name = schema["$ref"].rpartition("/")[2]
    top = definitions[name]
    rest = {other: value for other, value in definitions.items() if other != name or _mentions(definitions, name)}
    return {**top, **({"$defs": rest} if rest else {})}


def _mentions(definitions: Mapping[str, Any], name: str) -> bool:
    return f'"#/$defs/{name}"' in msgspec.json.encode(definitions).decode()


def each_schema(schema: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """The schema with `change` applied to every schema in it, innermost first; values such as enums are left alone."""
    if isinstance(schema, Sequence) and not isinstance(schema, str):
        return [each_schema(item, change) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    return change({name: _each_below(name, value, change) for name, value in schema.items()})


def _each_below(keyword: str, value: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    if keyword in _TABLES and isinstance(value, Mapping):
        return {name: each_schema(inner, change) for name, inner in value.items()}
    return value if keyword in _VALUES else each_schema(value, change)


def narrowed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with every object that lists its properties allowing no others, unless it says that it does."""

    def close(table: dict[str, Any]) -> dict[str, Any]:
        is_object = table.get("type") == "object" and "properties" in table
        return {"additionalProperties": False, **table} if is_object else table

    # The parts of an `allOf` are about one object: closed, each would forbid what the others ask for.
    if '"allOf"' in msgspec.json.encode(schema).decode():
        return dict(schema)
    closed: dict[str, Any] = each_schema(schema, close)
    return closed


def _json_in(text: str) -> Any:
    """The first JSON value: the whole text, a fenced block, or what stands from the first brace to the last."""
    candidates = [text.strip(), *(match[1] for match in _FENCED.finditer(text))]
    for opening, closing in (("{", "}"), ("[", "]")):
        start, end = text.find(opening), text.rfind(closing)
        if 0 <= start < end:
            candidates.append(text[start : end + 1])
    for candidate in candidates:
        try:
            return msgspec.json.decode(candidate)
        except NOT_JSON:
            continue
    raise InvalidOutput("the answer is not JSON", text=text)


def _is_closed(schema: Any) -> bool:
    if isinstance(schema, Sequence) and not isinstance(schema, str):
        return all(_is_closed(item) for item in schema)
    if not isinstance(schema, Mapping):
        return True
    if schema.get("type") == "object":
        properties = schema.get("properties", {})
        if schema.get("additionalProperties") is not False or set(schema.get("required", ())) != set(properties):
            return False
    return all(_is_closed(value) for value in schema.values())


def _name(text: str) -> str:
    return _NAME.sub("_", text)[:64].strip("_") or "answer"
