"""A Responses body, checked as OpenAI checks it and read into a `Prompt`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.simulator.chat_reading import (
    check_sampling,
    effort_of,
    forced_tool,
    refuse_unknown,
    schema_of,
    text_of,
    token_limit,
    tools_of,
)
from workbench.simulator.models import ModelProfile
from workbench.simulator.prompt import Prompt, Turn
from workbench.simulator.refusal import Reason, Refusal

KNOWN = frozenset(
    """
    background context_management conversation include input instructions max_output_tokens max_tool_calls metadata
    model moderation parallel_tool_calls previous_response_id prompt prompt_cache_key prompt_cache_options
    prompt_cache_retention reasoning safety_identifier service_tier store stream stream_options temperature text
    tool_choice tools top_logprobs top_p truncation user
    """.split()  # noqa: SIM905 - a block of words reads better than a column of them
)
MIN_OUTPUT = 16
_SAMPLING = ("temperature", "top_p", "top_logprobs")


@dataclass(frozen=True, slots=True)
class Reading:
    prompt: Prompt
    summarises: bool
    """Reasoning summaries were asked for."""
    encrypts: bool
    """`include` asks for encrypted reasoning."""


def read_response(body: Mapping[str, Any], model: ModelProfile, earlier: tuple[Turn, ...]) -> Reading:
    """`earlier` is the conversation behind `previous_response_id`."""
    refuse_unknown(body, KNOWN)
    reasoning = body.get("reasoning")
    reasoning = reasoning if isinstance(reasoning, Mapping) else {}
    if model.fixed_sampling:
        for name in _SAMPLING:
            if body.get(name) is not None:
                raise Refusal(
                    Reason.UNSUPPORTED_PARAMETER,
                    f"Unsupported parameter: '{name}' is not supported with this model.",
                    parameter=name,
                    coded=False,  # seen with gpt-5.2: Responses leaves the code null where Chat has one
                )
    check_sampling(body, model)
    limit = token_limit(body, model, ("max_output_tokens",))
    if limit is not None and limit < MIN_OUTPUT:
        raise Refusal(
            Reason.BAD_VALUE,
            f"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= {MIN_OUTPUT}, but "
            f"got {limit} instead.",
            parameter="max_output_tokens",
        )
    system, turns = _input(body)
    text = body.get("text")
    form = text.get("format") if isinstance(text, Mapping) else None
    schema, any_object = schema_of(form, strict=True, parameter="text.format.schema")
    prompt = Prompt(
        model=model,
        system="\n\n".join(filter(None, (str(body.get("instructions") or ""), system))),
        turns=earlier + turns,
        max_tokens=limit,
        temperature=body.get("temperature"),
        effort=effort_of(reasoning.get("effort"), model, "reasoning.effort"),
        json_schema=schema,
        json_object=any_object,
        tools=() if body.get("tool_choice") == "none" else tools_of(body.get("tools")),
        force_tool=forced_tool(body.get("tool_choice")),
    )
    include = body.get("include") or ()
    return Reading(prompt, bool(reasoning.get("summary")), "reasoning.encrypted_content" in include)


def _input(body: Mapping[str, Any]) -> tuple[str, tuple[Turn, ...]]:
    given = body.get("input")
    if given is None:
        raise Refusal(Reason.MISSING_PARAMETER, "", parameter="input")
    if isinstance(given, str):
        return "", (Turn("user", given),)
    if not isinstance(given, list) or not given:
        raise Refusal(
            Reason.BAD_VALUE, "Invalid type for 'input': expected a string or a list of items.", parameter="input"
        )
    system: list[str] = []
    turns: list[Turn] = []
    for index, item in enumerate(given):
        if not isinstance(item, Mapping):
            raise Refusal(
                Reason.BAD_VALUE, f"Invalid type for 'input[{index}]': expected an object.", parameter="input"
            )
        match item.get("type", "message"):
            case "message":
                _add_message(item, index, system, turns)
            case "function_call_output":
                turns.append(Turn("tool", str(item.get("output", ""))))
            case "reasoning" | "function_call" | "item_reference":
                pass  # what the model itself said before; it costs nothing here
            case other:
                raise Refusal(Reason.BAD_VALUE, f"Invalid value: '{other}'.", parameter=f"input[{index}].type")
    return "\n\n".join(system), tuple(turns)


def _add_message(item: Mapping[str, Any], index: int, system: list[str], turns: list[Turn]) -> None:
    role = item.get("role")
    if role not in ("system", "developer", "user", "assistant"):
        raise Refusal(
            Reason.BAD_VALUE,
            f"Invalid value: '{role}'. Supported values are: 'assistant', 'system', 'developer', and 'user'.",
            parameter=f"input[{index}].role",
        )
    text = text_of(item.get("content"), f"input[{index}].content")
    if role in ("system", "developer"):
        system.append(text)
    else:
        turns.append(Turn(role, text))
