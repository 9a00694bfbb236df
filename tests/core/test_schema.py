"""Schemas from whatever a caller has; answers checked and built, or refused in words that help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import msgspec
import pytest
from pydantic import BaseModel

from workbench.core.errors import InvalidOutput, UsageError
from workbench.core.schema import narrowed, schema_from

CITY = {
    "title": "A city!",
    "type": "object",
    "properties": {"name": {"type": "string"}, "people": {"type": "integer", "minimum": 0}},
    "required": ["name", "people"],
    "additionalProperties": False,
}


@dataclass
class City:
    name: str
    people: int


class CityDict(TypedDict):
    name: str
    people: int


class CityStruct(msgspec.Struct):
    name: str
    people: int


class CityModel(BaseModel):
    name: str
    people: int


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (CITY, {"name": "Rome", "people": 3}),
        (City, City("Rome", 3)),
        (CityDict, {"name": "Rome", "people": 3}),
        (CityStruct, CityStruct("Rome", 3)),
        (CityModel, CityModel(name="Rome", people=3)),
        (list[City], [City("Rome", 3)]),
    ],
    ids=["json schema", "dataclass", "typed dict", "struct", "pydantic", "list"],
)
def test_an_answer_comes_back_as_what_was_asked_for(wanted: object, expected: object) -> None:
    text = '{"name": "Rome", "people": 3}'

    assert schema_from(wanted).parse(f"[{text}]" if isinstance(expected, list) else text) == expected


@pytest.mark.parametrize("wanted", [City, CityDict, CityStruct, CityModel])
def test_the_outermost_schema_is_an_object_and_no_reference(wanted: object) -> None:
    schema = schema_from(wanted).schema

    assert schema["type"] == "object"
    assert set(schema["properties"]) == {"name", "people"}


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "Rome", "people": 3}',
        '```json\n{"name": "Rome", "people": 3}\n```',
        'Here it is:\n\n```\n{"name": "Rome", "people": 3}\n```\nEnjoy!',
        'Sure: {"name": "Rome", "people": 3} as you wished.',
    ],
)
def test_json_is_found_among_words_and_fences(text: str) -> None:
    assert schema_from(City).parse(text) == City("Rome", 3)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("I would rather not.", "the answer is not JSON"),
        ('{"name": "Rome"}', "'people' is a required property"),
        ('{"name": "Rome", "people": -1}', "at $.people: -1 is less than the minimum of 0"),
        ('{"name": "Rome", "people": 1, "x": 2}', "Additional properties are not allowed"),
    ],
)
def test_an_answer_that_does_not_fit_says_where_and_why(text: str, reason: str) -> None:
    with pytest.raises(InvalidOutput) as caught:
        schema_from(CITY).parse(text)

    assert reason in str(caught.value)
    assert caught.value.text == text


def test_what_is_no_schema_is_refused() -> None:
    with pytest.raises(UsageError, match="not a valid JSON schema"):
        schema_from({"type": "strnig"})
    with pytest.raises(UsageError, match="No schema can be made"):
        schema_from(object)


def test_closed_schemas_are_told_from_open_ones() -> None:
    assert schema_from(CITY).is_closed
    assert not schema_from(City).is_closed
    assert not schema_from({**CITY, "required": ["name"]}).is_closed


def test_names_suit_the_providers() -> None:
    assert schema_from(CITY).name == "A_city"
    assert schema_from(list[City]).name == "list"


class Tree(msgspec.Struct):
    children: list[Tree]


def test_a_schema_that_mentions_itself_keeps_its_definition() -> None:
    assert schema_from(Tree).parse('{"children": [{"children": []}]}') == Tree([Tree([])])


def test_what_is_sent_is_closed_so_that_strict_mode_can_hold_it() -> None:
    sent = schema_from(City).response_format["json_schema"]

    assert sent == {
        "name": "City",
        "schema": {**schema_from(City).schema, "additionalProperties": False},
        "strict": True,
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"allOf": [{"type": "object", "properties": {"a": {}}}, {"type": "object", "properties": {"b": {}}}]},
        {"enum": [{"type": "object", "properties": {}}]},
    ],
    ids=["a table", "parts of one object", "data"],
)
def test_what_cannot_be_closed_is_sent_as_it_is(schema: dict[str, object]) -> None:
    assert narrowed(schema) == schema
