"""Values that satisfy a JSON schema, for structured output and tool calls."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import msgspec

MAX_DEPTH = 8
"""Recursive schemas end here, with the smallest value that is allowed."""

_WORDS = ("steady", "careful", "bright", "quiet", "early", "broad", "narrow", "clear", "open", "common")
_FORMATS = {
    "date-time": "2026-03-14T09:26:53Z",
    "date": "2026-03-14",
    "time": "09:26:53Z",
    "email": "ada@example.org",
    "hostname": "example.org",
    "ipv4": "192.0.2.7",
    "ipv6": "2001:db8::7",
    "uri": "https://example.org/answer",
    "uuid": "7b1f2f0e-51a5-4f0a-9c53-0d8a2f1c6b1d",
    "duration": "PT15M",
}


def json_text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def instance_of(schema: Mapping[str, Any], rng: random.Random, subject: str) -> Any:
    """A value for the schema, its strings about `subject` where nothing else is said."""
    return _Builder(schema, rng, subject).value(schema, 0, "")


class _Builder:
    def __init__(self, root: Mapping[str, Any], rng: random.Random, subject: str) -> None:
        self._root = root
        self._rng = rng
        self._subject = subject

    def value(self, schema: Any, depth: int, name: str) -> Any:
        if not isinstance(schema, Mapping):
            return self._subject
        schema = self._resolve(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._rng.choice(list(schema["enum"]))
        for combiner in ("anyOf", "oneOf"):
            if schema.get(combiner):
                return self.value(self._pick(schema[combiner], depth), depth, name)
        if schema.get("allOf"):
            return self.value(self._merge(schema["allOf"]), depth, name)
        match self._type(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth, name)
            case "integer":
                return self._integer(schema)
            case "number":
                return self._number(schema)
            case "boolean":
                return self._rng.random() < 0.5
            case "null":
                return None
            case _:
                return self._string(schema, name)

    def _resolve(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        for _ in range(MAX_DEPTH):
            reference = schema.get("$ref")
            if not isinstance(reference, str):
                break
            target: Any = self._root
            for part in reference.removeprefix("#").strip("/").split("/"):
                if part:
                    target = target.get(part, {}) if isinstance(target, Mapping) else {}
            schema = target if isinstance(target, Mapping) else {}
        return schema

    def _pick(self, choices: list[Any], depth: int) -> Any:
        """Anything but null, unless it is time to stop."""
        nulls = [c for c in choices if isinstance(c, Mapping) and c.get("type") == "null"]
        if depth >= MAX_DEPTH and nulls:
            return nulls[0]
        return next((c for c in choices if c not in nulls), choices[0])

    def _merge(self, parts: list[Any]) -> Mapping[str, Any]:
        merged: dict[str, Any] = {}
        for part in parts:
            for key, value in self._resolve(part).items() if isinstance(part, Mapping) else ():
                if isinstance(value, Mapping) and isinstance(merged.get(key), dict):
                    merged[key] = {**merged[key], **value}
                elif isinstance(value, list) and isinstance(merged.get(key), list):
                    merged[key] = [*merged[key], *value]
                else:
                    merged[key] = value
        return merged

    def _type(self, schema: Mapping[str, Any]) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((k for k in kind if k != "null"), "null")
        if isinstance(kind, str):
            return kind.lower()  # Gemini writes STRING, OBJECT …
        return "object" if "properties" in schema else "array" if "items" in schema else "string"

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        required = set(schema.get("required") or ())
        if not isinstance(properties, Mapping):
            return {}
        return {
            name: self.value(part, depth + 1, name)
            for name, part in properties.items()
            if depth < MAX_DEPTH or name in required
        }

    def _array(self, schema: Mapping[str, Any], depth: int, name: str) -> list[Any]:
        least = int(schema.get("minItems", 0))
        most = int(schema.get("maxItems", max(3, least)))
        count = least if depth >= MAX_DEPTH else self._rng.randint(max(least, min(1, most)), max(least, most))
        if isinstance(schema.get("prefixItems"), list):
            return [self.value(part, depth + 1, name) for part in schema["prefixItems"]]
        values = [self.value(schema.get("items", {}), depth + 1, name) for _ in range(count)]
        if schema.get("uniqueItems"):
            values = [value for index, value in enumerate(values) if value not in values[:index]]
        return values

    def _integer(self, schema: Mapping[str, Any]) -> int:
        low, high = self._bounds(schema, 1)
        step = int(schema.get("multipleOf", 1)) or 1
        first = -(-int(low) // step)
        return self._rng.randint(first, max(first, int(high) // step)) * step

    def _number(self, schema: Mapping[str, Any]) -> float:
        low, high = self._bounds(schema, 0.01)
        return min(high, max(low, round(self._rng.uniform(low, high), 2)))

    def _bounds(self, schema: Mapping[str, Any], step: float) -> tuple[float, float]:
        low, high = schema.get("minimum"), schema.get("maximum")
        if low is None and schema.get("exclusiveMinimum") is not None:
            low = schema["exclusiveMinimum"] + step
        if high is None and schema.get("exclusiveMaximum") is not None:
            high = schema["exclusiveMaximum"] - step
        if low is None:
            low = 0 if high is None or high >= 0 else high - 100
        return low, low + 100 if high is None else high

    def _string(self, schema: Mapping[str, Any], name: str) -> str:
        kind = schema.get("format")
        if kind in _FORMATS:
            return _FORMATS[kind]
        label = name.replace("_", " ").strip()
        text = f"{label.capitalize()}: {self._subject}" if label else self._subject
        text = f"{text}, {self._rng.choice(_WORDS)}"
        least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
        while len(text) < least:
            text += f" and {self._rng.choice(_WORDS)}"
        return text if most is None else text[: int(most)]
