"""A Messages body, checked as Anthropic checks it and read into a `Prompt` and its cache marks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workbench.simulator.models import ModelProfile
from workbench.simulator.prompt import TOKENS_PER_MESSAGE, Prompt, Tool, Turn, tokens_in
from workbench.simulator.prompt_cache import LIFETIME_S, LONG_LIFETIME_S, Mark
from workbench.simulator.refusal import Reason, Refusal
from workbench.simulator.schema_rules import check_anthropic

KNOWN = frozenset(
    """
    anthropic_beta betas cache_control container context_management inference_geo max_tokens mcp_servers messages
    metadata model output_config output_format service_tier speed stop_sequences stream system temperature thinking
    tool_choice tools top_k top_p
    """.split()  # noqa: SIM905 - a block of words reads better than a column of them
)
MIN_THINKING = 1_024
MAX_MARKS = 4


@dataclass(frozen=True, slots=True)
class Reading:
    prompt: Prompt
    marks: tuple[Mark, ...]


def invalid(message: str, parameter: str | None = None) -> Refusal:
    return Refusal(Reason.BAD_VALUE, message, parameter=parameter)


def read_messages(body: Mapping[str, Any], model: ModelProfile) -> Reading:
    for name in body:
        if name not in KNOWN:
            raise invalid(f"{name}: Extra inputs are not permitted", name)
    max_tokens = _max_tokens(body, model)
    thinking = _thinking(body, max_tokens)
    _check_sampling(body, thinking)
    system = _text(body.get("system"), "system")
    turns = _turns(body)
    schema = None
    output = body.get("output_config") or {}
    form = body.get("output_format") or (output.get("format") if isinstance(output, Mapping) else None)
    if isinstance(form, Mapping) and form.get("type") == "json_schema":
        schema = form.get("schema") or {}
        check_anthropic(schema)
    prompt = Prompt(
        model=model,
        system=system,
        turns=turns,
        max_tokens=max_tokens,
        stop=tuple(body.get("stop_sequences") or ()),
        temperature=body.get("temperature"),
        effort=output.get("effort") if isinstance(output, Mapping) else None,
        thinking_tokens=thinking,
        json_schema=schema,
        tools=_tools(body),
        force_tool=_forced(body.get("tool_choice")),
    )
    return Reading(prompt, tuple(_marks(body)))


def _max_tokens(body: Mapping[str, Any], model: ModelProfile) -> int:
    value = body.get("max_tokens")
    if value is None:
        raise invalid("max_tokens: Field required", "max_tokens")
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid("max_tokens: Input should be a valid integer", "max_tokens")
    if value < 1:
        raise invalid("max_tokens: Input should be greater than or equal to 1", "max_tokens")
    if value > model.max_output_tokens:
        raise invalid(
            f"max_tokens: {value} > {model.max_output_tokens}, which is the maximum allowed number of output tokens "
            f"for {model.name}",
            "max_tokens",
        )
    return value


def _thinking(body: Mapping[str, Any], max_tokens: int) -> int | None:
    """Tokens it may think; 0 when thinking is off, which is the default, and None when the model decides."""
    thinking = body.get("thinking")
    if thinking is None:
        return 0
    kind = thinking.get("type") if isinstance(thinking, Mapping) else None
    match kind:
        case "disabled":
            return 0
        case "adaptive":
            return None
        case "enabled":
            budget = thinking.get("budget_tokens")
            if not isinstance(budget, int) or isinstance(budget, bool):
                raise invalid("thinking.enabled.budget_tokens: Field required", "thinking")
            if budget < MIN_THINKING:
                raise invalid(
                    f"thinking.enabled.budget_tokens: Input should be greater than or equal to {MIN_THINKING}",
                    "thinking",
                )
            if budget >= max_tokens:
                raise invalid(
                    "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at "
                    "https://docs.claude.com/en/docs/build-with-claude/extended-thinking",
                    "thinking",
                )
            return budget
        case _:
            raise invalid(
                f"thinking: Input tag '{kind}' found using 'type' does not match any of the expected tags: "
                "'adaptive', 'disabled', 'enabled'",
                "thinking",
            )


def _check_sampling(body: Mapping[str, Any], thinking: int | None) -> None:
    temperature = body.get("temperature")
    if temperature is not None:
        if isinstance(temperature, bool) or not isinstance(temperature, int | float):
            raise invalid("temperature: Input should be a valid number", "temperature")
        if not 0 <= temperature <= 1:
            raise invalid("temperature: range: 0..1", "temperature")
        if thinking != 0 and temperature != 1:
            raise invalid("`temperature` may only be set to 1 when thinking is enabled.", "temperature")
        if body.get("top_p") is not None:
            raise invalid(
                "`temperature` and `top_p` cannot both be specified for this model. Please use only one.", "top_p"
            )
    if thinking != 0 and body.get("top_k") is not None:
        raise invalid("`top_k` must be unset when thinking is enabled.", "top_k")


def _turns(body: Mapping[str, Any]) -> tuple[Turn, ...]:
    messages = body.get("messages")
    if messages is None:
        raise invalid("messages: Field required", "messages")
    if not isinstance(messages, list) or not messages:
        raise invalid("messages: at least one message is required", "messages")
    turns = []
    for index, message in enumerate(messages):
        role = message.get("role") if isinstance(message, Mapping) else None
        if role == "system":
            raise invalid(
                f'messages.{index}.role: Unexpected role "system". The Messages API accepts a top-level `system` '
                'parameter, not "system" as an input message role.',
                "messages",
            )
        if role not in ("user", "assistant"):
            raise invalid(f"messages.{index}.role: Input should be 'user' or 'assistant'", "messages")
        text = _text(message.get("content"), f"messages.{index}.content")
        if not text and not isinstance(message.get("content"), list):
            raise invalid(f"messages.{index}: all messages must have non-empty content", "messages")
        turns.append(Turn(role, text))
    if turns[0].role != "user":
        raise invalid('messages: first message must use the "user" role', "messages")
    return tuple(turns)


def _text(content: object, where: str) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise invalid(f"{where}: Input should be a valid string or list", where)
    texts = []
    for index, block in enumerate(content):
        if not isinstance(block, Mapping) or "type" not in block:
            raise invalid(f"{where}.{index}.type: Field required", where)
        if block["type"] == "text":
            if not block.get("text"):
                raise invalid(f"{where}: text content blocks must be non-empty", where)
            texts.append(str(block["text"]))
        elif block["type"] == "tool_result":
            texts.append(_text(block.get("content"), f"{where}.{index}.content"))
    return "\n".join(texts)


def _tools(body: Mapping[str, Any]) -> tuple[Tool, ...]:
    tools = body.get("tools") or []
    if _kind(body.get("tool_choice")) == "none":
        return ()
    return tuple(
        Tool(str(tool.get("name", "")), str(tool.get("description", "")), tool.get("input_schema") or {})
        for tool in tools
        if isinstance(tool, Mapping)
    )


def _kind(choice: object) -> object:
    return choice.get("type") if isinstance(choice, Mapping) else None


def _forced(choice: object) -> str | None:
    if isinstance(choice, Mapping):
        match choice.get("type"):
            case "any":
                return "*"
            case "tool":
                return str(choice.get("name", "*"))
    return None


def _marks(body: Mapping[str, Any]) -> Iterator[Mark]:
    """Breakpoints in the order tools, system, messages. More than four, or an hour after five minutes, is a 400."""
    found: list[Mark] = []
    prefix, tokens = "", 0
    for block, framing in _blocks(body):
        text = str(block.get("text") or block.get("content") or block.get("input_schema") or "")
        prefix += f"\x1e{block.get('name', '')}{text}"
        tokens += tokens_in(text) + framing
        control = block.get("cache_control")
        if control is None:
            continue
        if block.get("type") in ("thinking", "redacted_thinking"):
            raise invalid("cache_control: Extra inputs are not permitted", "cache_control")
        lifetime_s = _lifetime(control)
        if found and lifetime_s > found[-1].lifetime_s:
            raise invalid(
                "cache_control: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block.",
                "cache_control",
            )
        found.append(Mark(prefix, tokens, lifetime_s))
    if body.get("cache_control") is not None:
        found.append(Mark(prefix, tokens, _lifetime(body["cache_control"])))
    if len(found) > MAX_MARKS:
        raise invalid(
            f"A maximum of {MAX_MARKS} blocks with cache_control may be provided. Found {len(found)}.", "cache_control"
        )
    yield from found


def _lifetime(control: object) -> float:
    if not isinstance(control, Mapping) or control.get("type") != "ephemeral":
        raise invalid("cache_control.type: Input should be 'ephemeral'", "cache_control")
    match control.get("ttl", "5m"):
        case "5m":
            return LIFETIME_S
        case "1h":
            return LONG_LIFETIME_S
        case _:
            raise invalid("cache_control.ttl: Input should be '5m' or '1h'", "cache_control")


def _blocks(body: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], int]]:
    """Everything that a mark can stand on, with what its frame costs in tokens."""
    for tool in body.get("tools") or ():
        if isinstance(tool, Mapping):
            yield tool, 8
    system = body.get("system")
    if isinstance(system, str):
        yield {"text": system}, TOKENS_PER_MESSAGE
    else:
        for block in system or ():
            yield block, 1
    for message in body["messages"]:
        content = message["content"]
        if isinstance(content, str):
            yield {"text": content}, TOKENS_PER_MESSAGE
        else:
            for block in content:
                yield block, 2
