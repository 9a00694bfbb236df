"""`--schema`: a JSON schema in a file, which every answer is held to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from workbench.core.schema import OutputSchema
    from workbench.core.types import Params

CommandT = TypeVar("CommandT", bound=Callable[..., object])


def schema_option(command: CommandT) -> CommandT:
    return click.option(
        "--schema",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="JSON schema that each answer must fit; one that does not is sent back once, then has failed.",
    )(command)


def read_schema(file: Path) -> OutputSchema:
    """Raises UsageError, with the file's name, for what cannot be read or is no JSON schema."""
    from workbench.core.errors import UsageError
    from workbench.core.schema import schema_from

    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as exc:
        raise UsageError(f"Cannot read the schema {file}: {exc.strerror or exc}.") from exc
    except ValueError as exc:
        raise UsageError(f"The schema {file} is not JSON: {exc}.") from exc
    if not isinstance(found, dict):
        raise UsageError(f"The schema {file} must be a JSON object.", hint='Such as {"type": "object", …}.')
    try:
        return schema_from(found)
    except UsageError as exc:
        raise UsageError(f"The schema {file} cannot be used: {exc.message}") from exc


def refuse_second_format(params: Params) -> None:
    """Raises UsageError for parameters that ask for a format of their own, before anything is sent."""
    from workbench.core.errors import UsageError

    if "response_format" in dict(params.extra):
        raise UsageError("--schema and a response_format exclude each other.", hint="Give one of them.")
