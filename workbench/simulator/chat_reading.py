"""A Chat Completions body, checked as the provider checks it and read into a `Prompt`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from workbench.simulator.models import ModelProfile, Reasoning
from workbench.simulator.prompt import Prompt, Tool, Turn
from workbench.simulator.refusal import Reason, Refusal
from workbench.simulator.schema_rules import check_openai

KNOWN = frozenset(
    """
    audio frequency_penalty function_call functions include_obfuscation logit_bias logprobs max_completion_tokens
    max_tokens messages metadata modalities model moderation n parallel_tool_calls prediction presence_penalty
    prompt_cache_key prompt_cache_options prompt_cache_retention reasoning_effort response_format safety_identifier seed
    service_tier stop store stream stream_options temperature tool_choice tools top_logprobs top_p user verbosity
    web_search_options
    """.split()  # noqa: SIM905 - a block of words reads better than a column of them
)
"""Top-level parameters that OpenAI knows; any other is a 400."""
ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_RANGES = {
    "temperature": (0.0, 2.0),
    "top_p": (0.0, 1.0),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
}
_DEFAULTS = {"temperature": 1, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0, "logprobs": False}


def refuse_unknown(body: Mapping[str, Any], known: frozenset[str] = KNOWN) -> None:
    for name in body:
        if name not in known:
            raise Refusal(Reason.UNKNOWN_PARAMETER, "", parameter=name)


def check_sampling(body: Mapping[str, Any], model: ModelProfile) -> None:
    """Ranges, and the parameters that reasoning models refuse."""
    for name, (low, high) in _RANGES.items():
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Refusal(
                Reason.BAD_VALUE,
                f"Invalid type for '{name}': expected a decimal, but got {value!r} instead.",
                parameter=name,
            )
        if not low <= value <= high:
            raise Refusal(
                Reason.BAD_VALUE,
                f"Invalid '{name}': decimal {'below minimum' if value < low else 'above maximum'} value. Expected a "
                f"value {f'>= {low:g}' if value < low else f'<= {high:g}'}, but got {value} instead.",
                parameter=name,
            )
    if model.fixed_sampling:
        for name, default in _DEFAULTS.items():
            value = body.get(name)
            if value is not None and value != default:
                raise Refusal(
                    Reason.UNSUPPORTED_VALUE,
                    f"Unsupported value: '{name}' does not support {value} with this model. Only the default "
                    f"({default}) value is supported.",
                    parameter=name,
                )


def token_limit(body: Mapping[str, Any], model: ModelProfile, names: Iterable[str]) -> int | None:
    """The first of these parameters that is there, checked against the model."""
    for name in names:
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise Refusal(
                Reason.BAD_VALUE,
                f"Invalid '{name}': integer below minimum value. Expected a value >= 1, but got {value!r} instead.",
                parameter=name,
            )
        if value > model.max_output_tokens:
            raise Refusal(
                Reason.BAD_VALUE,
                f"{name} is too large: {value}. This model supports at most {model.max_output_tokens} completion "
                "tokens, whereas you provided a larger number.",
                parameter=name,
            )
        return value
    return None


def effort_of(value: object, model: ModelProfile, name: str) -> str | None:
    if value is None:
        return None
    if not model.efforts:
        if model.reasoning is Reasoning.NONE or model.fixed_sampling:
            raise Refusal(Reason.UNSUPPORTED_PARAMETER, "", parameter=name)
        return str(value)
    if value not in model.efforts:
        listed = ", ".join(f"'{effort}'" for effort in model.efforts)
        raise Refusal(
            Reason.UNSUPPORTED_VALUE,
            f"Unsupported value: '{name}' does not support '{value}' with this model. Supported values are: {listed}.",
            parameter=name,
        )
    return str(value)


def stops_of(value: object) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value or []
    if not isinstance(stops, list) or len(stops) > 4 or not all(isinstance(stop, str) for stop in stops):
        raise Refusal(Reason.BAD_VALUE, "Invalid 'stop': expected a string or up to 4 strings.", parameter="stop")
    return tuple(stops)


def text_of(content: object, parameter: str) -> str:
    """A message's content: a string, or parts of which the texts count."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(part, Mapping) for part in content):
        return "\n".join(str(part.get("text") or part.get("refusal") or "") for part in content)
    raise Refusal(
        Reason.BAD_VALUE,
        f"Invalid type for '{parameter}': expected one of a string or array of objects, but got "
        f"{type(content).__name__} instead.",
        parameter=parameter,
    )


def messages_of(body: Mapping[str, Any]) -> tuple[str, tuple[Turn, ...]]:
    """System text and turns."""
    messages = body.get("messages")
    if messages is None:
        raise Refusal(Reason.MISSING_PARAMETER, "", parameter="messages")
    if not isinstance(messages, list) or not messages:
        raise Refusal(
            Reason.BAD_VALUE,
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            parameter="messages",
        )
    system: list[str] = []
    turns: list[Turn] = []
    for index, message in enumerate(messages):
        role = message.get("role") if isinstance(message, Mapping) else None
        if role not in ROLES:
            raise Refusal(
                Reason.BAD_VALUE,
                f"Invalid value: '{role}'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', "
                "and 'developer'.",
                parameter=f"messages[{index}].role",
            )
        text = text_of(message.get("content"), f"messages[{index}].content")
        if role in ("system", "developer"):
            system.append(text)
        else:
            turns.append(Turn("tool" if role == "function" else role, text))
    return "\n\n".join(system), tuple(turns)


def schema_of(
    response_format: object, *, strict: bool, parameter: str = "response_format"
) -> tuple[Mapping[str, Any] | None, bool]:
    """`response_format` (Chat) or `text.format` (Responses): the schema, and whether any object will do.

    `strict` is OpenAI itself, which looks at the schema before it takes it.
    """
    if not isinstance(response_format, Mapping):
        return None, False
    kind = response_format.get("type")
    if kind == "json_object":
        return None, True
    if kind != "json_schema":
        return None, False
    inner = response_format.get("json_schema", response_format)
    if not isinstance(inner, Mapping) or not inner.get("name"):
        raise Refusal(Reason.MISSING_PARAMETER, "", parameter="response_format.json_schema.name")
    schema = inner.get("schema")
    if not isinstance(schema, Mapping):
        raise Refusal(Reason.MISSING_PARAMETER, "", parameter="response_format.json_schema.schema")
    if strict:
        check_openai(str(inner["name"]), schema, parameter, strict=bool(inner.get("strict")))
    return schema, False


def tools_of(tools: object) -> tuple[Tool, ...]:
    """Both spellings: `{type, function: {…}}` of Chat and the flat one of Responses."""
    if not isinstance(tools, list):
        return ()
    found = []
    for index, tool in enumerate(tools):
        if not isinstance(tool, Mapping) or tool.get("type") not in ("function", None):
            continue
        inner = tool.get("function", tool)
        if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str):
            raise Refusal(Reason.MISSING_PARAMETER, "", parameter=f"tools[{index}].function")
        found.append(Tool(inner["name"], str(inner.get("description") or ""), inner.get("parameters") or {}))
    return tuple(found)


def forced_tool(choice: object) -> str | None:
    if choice == "required":
        return "*"
    if isinstance(choice, Mapping):
        inner = choice.get("function", choice)
        return str(inner.get("name", "*")) if isinstance(inner, Mapping) else "*"
    return None


def read_chat(body: Mapping[str, Any], model: ModelProfile, *, strict: bool) -> Prompt:
    """Raises `Refusal` for whatever the provider would. `strict` is OpenAI itself; its imitators let more pass."""
    if strict:
        refuse_unknown(body)
        if body.get("max_tokens") is not None and model.needs_completion_limit:
            raise Refusal(
                Reason.UNSUPPORTED_PARAMETER,
                (
                    "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                    "'max_completion_tokens' instead."
                ),
                parameter="max_tokens",
            )
        if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
            raise Refusal(
                Reason.BAD_VALUE,
                "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
                parameter="max_tokens",
            )
    check_sampling(body, model)
    system, turns = messages_of(body)
    if strict and body.get("stop") is not None and model.fixed_sampling:
        raise Refusal(Reason.UNSUPPORTED_PARAMETER, "", parameter="stop")
    options = body.get("stream_options")
    if strict and options is not None and not body.get("stream"):
        raise Refusal(
            Reason.BAD_VALUE,
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            parameter="stream_options",
        )
    schema, any_object = schema_of(body.get("response_format"), strict=strict)
    tools = tools_of(body.get("tools"))
    return Prompt(
        model=model,
        system=system,
        turns=turns,
        max_tokens=token_limit(body, model, ("max_completion_tokens", "max_tokens")),
        stop=stops_of(body.get("stop")),
        temperature=body.get("temperature"),
        seed=body.get("seed"),
        effort=effort_of(body.get("reasoning_effort"), model, "reasoning_effort"),
        json_schema=schema,
        json_object=any_object,
        tools=() if body.get("tool_choice") == "none" else tools,
        force_tool=forced_tool(body.get("tool_choice")),
    )


def count_of(body: Mapping[str, Any]) -> int:
    """`n`."""
    n = body.get("n")
    if n is None:
        return 1
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= 128:
        raise Refusal(
            Reason.BAD_VALUE,
            f"Invalid 'n': expected an integer between 1 and 128, but got {n!r} instead.",
            parameter="n",
        )
    return n
