"""A generateContent body, checked as Gemini checks it and read into a `Prompt`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.simulator.models import ModelProfile, Thinking
from workbench.simulator.prompt import Prompt, Tool, Turn
from workbench.simulator.refusal import Reason, Refusal

KNOWN = frozenset(
    """
    contents systemInstruction generationConfig tools toolConfig safetySettings cachedContent labels model serviceTier
    store
    """.split()  # noqa: SIM905 - a block of words reads better than a column of them
)
KNOWN_GENERATION = frozenset(
    """
    temperature topP topK maxOutputTokens stopSequences candidateCount responseMimeType responseSchema
    responseJsonSchema responseModalities thinkingConfig seed presencePenalty frequencyPenalty responseLogprobs logprobs
    speechConfig mediaResolution enableEnhancedCivicAnswers imageConfig responseFormat
    """.split()  # noqa: SIM905 - see above
)
LEVELS = ("minimal", "low", "medium", "high")
BUDGETS = {"gemini-2.5-pro": (128, 32_768), "gemini-2.5-flash-lite": (512, 24_576)}
ANY_BUDGET = (0, 24_576)


@dataclass(frozen=True, slots=True)
class Reading:
    prompt: Prompt
    candidates: int
    shows_thoughts: bool


def invalid(message: str) -> Refusal:
    return Refusal(Reason.BAD_VALUE, message)


def read_contents(body: Mapping[str, Any], model: ModelProfile) -> Reading:
    body = _camel(body, KNOWN, "")
    config = _camel(body.get("generationConfig") or {}, KNOWN_GENERATION, "generation_config.")
    temperature = config.get("temperature")
    if temperature is not None and not 0 <= temperature <= 2:
        raise invalid(
            f"Unable to submit request because it has a temperature value of {temperature} but the supported range is "
            "from 0 (inclusive) to 2.0 (inclusive)."
        )
    thinking = _camel(config.get("thinkingConfig") or {}, None, "")
    effort, budget = _thinking(thinking, model)
    schema = config.get("responseJsonSchema") or config.get("responseSchema")
    json_wanted = config.get("responseMimeType") == "application/json"
    if schema is not None and not json_wanted:
        raise invalid("Response schema requires response mime type 'application/json'.")
    candidates = config.get("candidateCount") or 1
    if not 1 <= candidates <= 8:
        raise invalid("candidateCount must be between 1 and 8.")
    prompt = Prompt(
        model=model,
        system=text_of(body.get("systemInstruction"), "system_instruction") if body.get("systemInstruction") else "",
        turns=_turns(body.get("contents")),
        max_tokens=_limit(config.get("maxOutputTokens"), model),
        stop=tuple(config.get("stopSequences") or ()),
        temperature=temperature,
        seed=config.get("seed"),
        effort=effort,
        thinking_tokens=budget,
        json_schema=schema,
        json_object=json_wanted and schema is None,
        tools=_tools(body.get("tools")),
        force_tool=_forced(body.get("toolConfig")),
    )
    return Reading(prompt, candidates, bool(thinking.get("includeThoughts")))


def _camel(fields: object, known: frozenset[str] | None, where: str) -> dict[str, Any]:
    """Names as JSON has them; the service takes the proto spelling too."""
    if not isinstance(fields, Mapping):
        raise invalid("Invalid JSON payload received. Expected an object.")
    named: dict[str, Any] = {}
    for name, value in fields.items():
        head, *tail = str(name).split("_")
        camel = head + "".join(part.title() for part in tail)
        if known is not None and camel not in known:
            at = f" at '{where.rstrip('.')}'" if where else ""
            raise invalid(f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.')
        named[camel] = value
    return named


def _thinking(config: Mapping[str, Any], model: ModelProfile) -> tuple[str | None, int | None]:
    """(effort, the most tokens to think)."""
    level, budget = config.get("thinkingLevel"), config.get("thinkingBudget")
    if level is not None and budget is not None:
        raise invalid("You can only set only one of thinking budget and thinking level.")
    if (level is not None or budget is not None) and model.thinking is None:
        raise invalid("Thinking is not enabled for this model.")
    if level is not None:
        if model.thinking is Thinking.BUDGET:
            raise invalid("Thinking level is not supported for this model.")
        if str(level).lower() not in LEVELS:
            raise invalid(f"Invalid value at 'generation_config.thinking_config.thinking_level': \"{level}\"")
        if str(level).lower() == "minimal" and not model.thinking_may_be_off:
            raise invalid("Thinking level MINIMAL is not supported for this model.")
        return str(level).lower(), None
    if budget is None or budget == -1:
        return None, None
    low, high = BUDGETS.get(model.name, ANY_BUDGET)
    if budget == 0:
        if not model.thinking_may_be_off:
            raise invalid("Budget 0 is invalid. This model only works in thinking mode.")
        return None, 0
    if not low <= budget <= high:
        raise invalid(f"The thinking budget {budget} is invalid. Please choose a value between {low} and {high}.")
    return None, budget


def _limit(value: object, model: ModelProfile) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise invalid("max_output_tokens must be positive.")
    if value > model.max_output_tokens:
        raise invalid(
            f"Unable to submit request because it has a maxOutputTokens value of {value} but the supported range is "
            f"from 1 (inclusive) to {model.max_output_tokens + 1} (exclusive)."
        )
    return value


def _turns(contents: object) -> tuple[Turn, ...]:
    if isinstance(contents, Mapping):
        contents = [contents]
    if not isinstance(contents, list) or not contents:
        raise invalid("* GenerateContentRequest.contents: contents is not specified")
    turns = []
    for index, content in enumerate(contents):
        role = content.get("role", "user") if isinstance(content, Mapping) else None
        if role not in ("user", "model", "function"):
            raise invalid("Please use a valid role: user, model.")
        turns.append(Turn("assistant" if role == "model" else "user", text_of(content, f"contents[{index}]")))
    return tuple(turns)


def text_of(content: object, where: str) -> str:
    if isinstance(content, str):
        return content
    parts = content.get("parts") if isinstance(content, Mapping) else None
    if isinstance(parts, Mapping):
        parts = [parts]
    if not isinstance(parts, list) or not parts:
        raise invalid(f"* GenerateContentRequest.{where}.parts: contents.parts must not be empty.")
    return "\n".join(str(part.get("text") or "") for part in parts if isinstance(part, Mapping))


def _tools(tools: object) -> tuple[Tool, ...]:
    found = []
    for tool in tools if isinstance(tools, list) else ():
        for declaration in tool.get("functionDeclarations") or tool.get("function_declarations") or ():
            schema = declaration.get("parameters") or declaration.get("parametersJsonSchema") or {}
            found.append(Tool(str(declaration.get("name")), str(declaration.get("description", "")), schema))
    return tuple(found)


def _forced(config: object) -> str | None:
    calling = config.get("functionCallingConfig") if isinstance(config, Mapping) else None
    if isinstance(calling, Mapping) and calling.get("mode") == "ANY":
        names = calling.get("allowedFunctionNames") or ["*"]
        return str(names[0])
    return None
