"""A target's parameters, one line each; what is left empty is the provider's default."""

from __future__ import annotations

import json
from collections.abc import Mapping

from workbench.core.errors import UsageError
from workbench.core.params import params_from
from workbench.core.types import Json, Params
from workbench.session.targets import Target
from workbench.tui.screens.fields_dialog import Field, FieldsDialog

_FIELDS: Mapping[str, str] = {
    "temperature": "0 to 2",
    "top_p": "0 to 1",
    "max_tokens": "a whole number",
    "seed": "a whole number",
    "reasoning_effort": "none, minimal, low, medium, high, xhigh, max",
    "thinking_budget": "tokens; -1 the model decides, 0 off",
    "stop": "texts that end the answer, separated by commas",
    "extra": 'anything else, as JSON: {"top_k": 40}',
}


class ParamsDialog(FieldsDialog[Params]):
    """Dismissed with the parameters, or None."""

    HELP = """
    # Parameters

    Each line is sent only if something stands in it. What a model does not understand is left out on the way to it,
    and the pane says so. Enter keeps all of them.
    """

    def __init__(self, target: Target, *, title: str = "") -> None:
        values = _as_text(target.params)
        super().__init__(
            title or f"Parameters of {target.name}",
            [Field(name, values.get(name, ""), expected) for name, expected in _FIELDS.items()],
            hint="enter keeps them · up down moves · esc leaves them",
        )

    def accept(self, written: Mapping[str, str]) -> Params:
        return parse_fields(written)


def parse_fields(fields: Mapping[str, str]) -> Params:
    """Parameters from what was written in the dialog. Raises UsageError that names the line."""
    values: dict[str, Json] = {}
    for name, written in fields.items():
        text = written.strip()
        if not text:
            continue
        match name:
            case "stop":
                values[name] = [part.strip() for part in text.split(",") if part.strip()]
            case "reasoning_effort":
                values[name] = text
            case "extra":
                values.update(_object(text))
            case _:
                values[name] = _number(name, text)
    return params_from(values)


def _number(name: str, text: str) -> Json:
    try:
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    except ValueError:
        raise UsageError(f"{name}: expected a number, not {text!r}.") from None


def _object(text: str) -> dict[str, Json]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageError(f"extra: not JSON ({error}).") from None
    if not isinstance(value, dict):
        raise UsageError('extra: expected an object such as {"top_k": 40}.')
    return value


def _as_text(params: Params) -> dict[str, str]:
    shown = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in params.as_dict().items()}
    if params.stop:
        shown["stop"] = ", ".join(params.stop)
    if params.extra:
        shown["extra"] = json.dumps(dict(params.extra))
    return shown
