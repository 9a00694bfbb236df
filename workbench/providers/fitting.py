"""From what a caller asks to what goes on the wire: one pure function for every wire family.

`fit` decides names and values of parameters only; messages, model and stream switches are the adapters'. Whatever is
dropped, renamed, capped or defaulted is a note in words, and a caller's own limit is never raised. The result is also
what a cache key must hold: two requests that fit to the same body are the same request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, assert_never

from workbench.core.schema import each_schema
from workbench.core.types import Json, Params
from workbench.providers.base import ProviderSpec, WireFamily
from workbench.providers.capabilities import Thinking, Traits, traits_of, wire_family
from workbench.providers.parameters import Fitting

_LEAST_CLAUDE_BUDGET: Final = 1_024

_EFFORT_BUDGETS: Final = {
    "minimal": 1_024,
    "low": 2_048,
    "medium": 8_192,
    "high": 24_576,
    "xhigh": 32_768,
    "max": 63_999,
}
"""Thinking tokens for an effort, where a model only knows budgets. Capped by the model's own range."""


_REFUSED_BOUNDS: Final = frozenset(
    """
    minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength minItems maxItems uniqueItems
    minProperties maxProperties
    """.split()  # noqa: SIM905 - a block of words reads better than a column of them
)
"""What Anthropic's constrained decoding answers with 400. Whoever asked with a schema checks the answer by it."""


@dataclass(frozen=True, slots=True)
class Fitted:
    family: WireFamily
    body: dict[str, Json]
    """Parameters as the wire names them, without model, messages and stream."""
    notes: tuple[str, ...]
    traits: Traits


def fit(spec: ProviderSpec, wire_model: str, params: Params, refused: frozenset[str] = frozenset()) -> Fitted:
    """Translate the parameters for the family that will carry the call.

    Args:
        refused: wire names that this route has refused before (`ParameterMemory.refused`).
    """
    family = wire_family(spec, wire_model, params)
    fitting = Fitting(wire_model, params, traits_of(spec, wire_model), refused)
    match family:
        case WireFamily.OPENAI_CHAT:
            _fit_chat(fitting, spec)
        case WireFamily.OPENAI_RESPONSES:
            _fit_responses(fitting)
        case WireFamily.GEMINI:
            _fit_gemini(fitting)
        case WireFamily.ANTHROPIC:
            _fit_anthropic(fitting)
        case WireFamily.LITELLM:
            _fit_litellm(fitting)
        case _:
            assert_never(family)
    fitting.fill(dict(spec.body_defaults))
    fitting.leave_out_refused()
    return Fitted(family, fitting.body, tuple(fitting.notes), fitting.traits)


# -- OpenAI ------------------------------------------------------------------------------------------------------------


def _fit_chat(fitting: Fitting, spec: ProviderSpec) -> None:
    params, traits = fitting.params, fitting.traits
    effort = fitting.effort()
    limit_name = traits.limit_name
    if limit_name in fitting.refused:
        limit_name = "max_tokens" if limit_name == "max_completion_tokens" else "max_completion_tokens"
    fitting.put_limit(limit_name)
    fitting.body.update(fitting.sampling(effort=effort))
    if params.stop:
        if "stop" in traits.refuses:
            fitting.drop("stop", f"{fitting.model} does not take it")
        else:
            fitting.put("stop", list(params.stop))
    fitting.put("seed", params.seed)
    if spec.name == "openrouter":
        _reason_at_openrouter(fitting, effort)
    elif traits.thinking is Thinking.SWITCH:
        _switch_reasoning(fitting, effort, spec)
    else:
        fitting.put("reasoning_effort", effort or None)
        if params.thinking_budget is not None:
            fitting.drop("thinking_budget", "this wire has reasoning_effort instead")
    if fitting.extra.get("n") not in (None, 1):
        fitting.note("n: only the first choice is shown.")
    fitting.take_extra()
    _card_defaults(fitting)


def _reason_at_openrouter(fitting: Fitting, effort: str) -> None:
    budget = fitting.params.thinking_budget
    if effort and budget is not None:
        fitting.drop("reasoning_effort", "thinking_budget says it more exactly")
    if budget == 0 or (budget is None and effort == "none"):
        fitting.put("reasoning", {"enabled": False})
    elif budget is not None and budget > 0:
        fitting.put("reasoning", {"max_tokens": budget})
    elif effort:
        fitting.put("reasoning", {"effort": effort})


def _switch_reasoning(fitting: Fitting, effort: str, spec: ProviderSpec) -> None:
    """On or off, as the chat template knows it; in between there is nothing."""
    budget = fitting.params.thinking_budget
    if not effort and budget is None:
        return
    on = budget != 0 if budget is not None else effort != "none"
    fitting.note(f"reasoning: {'on' if on else 'off'}; {fitting.model} knows no degrees of it.")
    if spec.name == "together":
        fitting.put("reasoning", {"enabled": on})
    else:
        fitting.put("chat_template_kwargs", {"enable_thinking": on})


def _card_defaults(fitting: Fitting) -> None:
    missing = {name: value for name, value in fitting.traits.defaults if name not in fitting.body}
    if missing:
        fitting.fill(missing)
        said = ", ".join(f"{name} {value}" for name, value in missing.items())
        fitting.note(f"{fitting.model}: its card's defaults were added ({said}).")


def _fit_responses(fitting: Fitting) -> None:
    params = fitting.params
    effort = fitting.effort()
    fitting.put_limit("max_output_tokens")
    fitting.body.update(fitting.sampling(effort=effort))
    if params.stop:
        fitting.drop("stop", "the Responses API has no stop sequences")
    if params.seed is not None:
        fitting.drop("seed", "the Responses API has none")
    if params.thinking_budget is not None:
        fitting.drop("thinking_budget", "this wire has reasoning_effort instead")
    if fitting.traits.thinking is not Thinking.NEVER:
        reasoning: dict[str, Json] = {"summary": "auto"}
        if effort:
            reasoning["effort"] = effort
        fitting.put("reasoning", reasoning)
    text: dict[str, Json] = {}
    if (shape := _json_shape(fitting.extra.pop("response_format", None))) is not None:
        text["format"] = {"type": "json_schema", **shape} if "schema" in shape else {"type": "json_object"}
    if (verbosity := fitting.extra.pop("verbosity", None)) is not None:
        text["verbosity"] = verbosity
    if text:
        fitting.put("text", text)
    fitting.extra.pop("n", None)
    fitting.put("store", False)
    fitting.put("include", ["reasoning.encrypted_content"])
    fitting.take_extra()


def _json_shape(response_format: Json) -> dict[str, Json] | None:
    """What an OpenAI `response_format` asks for: {} for any JSON, else name, schema and strict; None for text."""
    if not isinstance(response_format, Mapping):
        return None
    match response_format.get("type"):
        case "json_object":
            return {}
        case "json_schema":
            shape = response_format.get("json_schema")
            return dict(shape) if isinstance(shape, Mapping) else {}
        case _:
            return None


# -- Gemini ------------------------------------------------------------------------------------------------------------


def _fit_gemini(fitting: Fitting) -> None:
    """Names as `google.genai.types.GenerateContentConfig` has them."""
    params = fitting.params
    fitting.put("max_output_tokens", fitting.limit)
    fitting.body.update(fitting.sampling(effort=""))
    if params.stop:
        fitting.put("stop_sequences", list(params.stop))
    fitting.put("seed", params.seed)
    thinking = _gemini_thinking(fitting)
    if thinking:
        fitting.put("thinking_config", thinking)
    if (shape := _json_shape(fitting.extra.pop("response_format", None))) is not None:
        fitting.put("response_mime_type", "application/json")
        fitting.put("response_json_schema", shape.get("schema"))
    fitting.take_extra()


def _gemini_thinking(fitting: Fitting) -> dict[str, Json]:
    """Budget for 2.5, level for 3 and later, never both: the API answers a mixture with 400."""
    budget, wanted = fitting.params.thinking_budget, fitting.params.reasoning_effort
    match fitting.traits.thinking:
        case Thinking.GEMINI_BUDGET:
            if budget is not None and wanted is not None:
                fitting.drop("reasoning_effort", "thinking_budget says it more exactly")
            elif wanted is not None:
                budget = 0 if wanted == "none" else _EFFORT_BUDGETS.get(wanted, -1)
            return _gemini_budget(fitting, budget)
        case Thinking.GEMINI_LEVEL:
            if budget is not None and wanted is None:
                wanted = _effort_for(budget)
                if wanted:
                    fitting.note(f"thinking_budget: {budget:,} became level {wanted}; {fitting.model} has levels only.")
            elif budget is not None:
                fitting.drop("thinking_budget", f"{fitting.model} has thinking levels")
            if not wanted:
                return {"include_thoughts": True}
            level = fitting.nearest(wanted)
            return {"thinking_level": level, "include_thoughts": True}
        case _:
            fitting.effort()
            if budget is not None:
                fitting.drop("thinking_budget", f"{fitting.model} does not think")
            return {}


def _gemini_budget(fitting: Fitting, budget: int | None) -> dict[str, Json]:
    least, most = fitting.traits.budget
    if budget is None:
        return {"include_thoughts": True}
    if budget >= 0:
        fitted = min(max(budget, least), most)
        if fitted != budget:
            fitting.note(f"thinking_budget: {budget:,} became {fitted:,}; {fitting.model} takes {least:,} to {most:,}.")
        budget = fitted
    return {"thinking_budget": budget, "include_thoughts": budget != 0}


def _effort_for(budget: int) -> str:
    """The effort whose budget is not below this one; empty for -1, which leaves the choice to the model."""
    if budget < 0:
        return ""
    if budget == 0:
        return "none"
    return next((name for name, tokens in _EFFORT_BUDGETS.items() if budget <= tokens), "max")


# -- Anthropic ---------------------------------------------------------------------------------------------------------


def _fit_anthropic(fitting: Fitting) -> None:
    params, traits = fitting.params, fitting.traits
    thinks = _claude_thinking(fitting)
    if fitting.limit is None:
        _claude_limit(fitting, traits.default_max_tokens)
    fitting.put("max_tokens", fitting.limit)
    sampling = fitting.sampling(effort="")
    if thinks and sampling.get("temperature", 1) != 1:
        fitting.drop("temperature", f"{fitting.model} does not take it while it thinks")
        sampling.pop("temperature")
    fitting.body.update(sampling)
    if params.stop:
        fitting.put("stop_sequences", list(params.stop))
    if params.seed is not None:
        fitting.drop("seed", "Anthropic has none")
    if (shape := _json_shape(fitting.extra.pop("response_format", None))) is not None:
        if "schema" in shape:
            schema = each_schema(shape["schema"], _without_bounds)
            _merge(fitting.body, "output_config", {"format": {"type": "json_schema", "schema": schema}})
        else:
            fitting.drop("response_format", "Anthropic has JSON only with a schema")
    if fitting.extra.pop("n", None) not in (None, 1):
        fitting.drop("n", "Anthropic answers once")
    fitting.take_extra()


def _without_bounds(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name not in _REFUSED_BOUNDS}


def _claude_thinking(fitting: Fitting) -> bool:
    """Put thinking into the body; True when the model will think."""
    traits, budget = fitting.traits, fitting.params.thinking_budget
    wanted = fitting.params.reasoning_effort
    if "thinking" in fitting.extra:
        return True
    match traits.thinking:
        case Thinking.CLAUDE_BUDGET:
            if budget is None and wanted is not None:
                budget = 0 if wanted == "none" else _EFFORT_BUDGETS.get(wanted, _EFFORT_BUDGETS["medium"])
            elif wanted is not None:
                fitting.drop("reasoning_effort", "thinking_budget says it more exactly")
            return _claude_budget(fitting, budget)
        case Thinking.CLAUDE_EITHER if budget is not None and budget > 0:
            if wanted is not None:
                fitting.drop("reasoning_effort", "thinking_budget says it more exactly")
            return _claude_budget(fitting, budget)
        case Thinking.CLAUDE_EITHER | Thinking.CLAUDE_EFFORT:
            if budget is not None and wanted is None:
                wanted = _effort_for(budget)
                if budget > 0:
                    fitting.note(f"thinking_budget: {budget:,} became effort {wanted}; {fitting.model} has no budgets.")
            return _claude_effort(fitting, wanted, asked=budget is not None or wanted is not None)
        case _:
            fitting.effort()
            if budget:
                fitting.drop("thinking_budget", f"{fitting.model} does not think")
            return False


def _claude_budget(fitting: Fitting, budget: int | None) -> bool:
    if not budget:
        return False
    least, most = fitting.traits.budget if fitting.traits.budget[1] else (_LEAST_CLAUDE_BUDGET, 63_999)
    fitted = most if budget < 0 else min(max(budget, least), most)
    if fitting.limit is not None:
        fitted = min(fitted, fitting.limit - 1)
    if fitted < least:
        fitting.drop("thinking_budget", f"max_tokens {fitting.limit:,} leaves no room for the {least:,} it needs")
        return False
    if fitted != budget:
        fitting.note(f"thinking_budget: {budget:,} became {fitted:,}, below max_tokens and within the model's range.")
    if fitting.limit is None:
        _claude_limit(fitting, fitted + fitting.traits.default_max_tokens)
    fitting.put("thinking", {"type": "enabled", "budget_tokens": fitted})
    return True


def _claude_limit(fitting: Fitting, tokens: int) -> None:
    fitting.limit = tokens
    fitting.note(f"max_tokens: {tokens:,}, because Anthropic demands a limit and none was given.")


def _claude_effort(fitting: Fitting, wanted: str | None, *, asked: bool) -> bool:
    traits = fitting.traits
    if not asked and not traits.always_thinks:
        return False
    if wanted == "none" and not traits.always_thinks:
        fitting.put("thinking", {"type": "disabled"})
        return False
    # Without `display`, adaptive thinking comes back as empty blocks.
    fitting.put("thinking", {"type": "adaptive", "display": "summarized"})
    if wanted:
        _merge(fitting.body, "output_config", {"effort": fitting.nearest(wanted)})
    return True


def _merge(body: dict[str, Json], name: str, values: dict[str, Json]) -> None:
    inner = body.get(name)
    body[name] = {**inner, **values} if isinstance(inner, dict) else values


# -- litellm -----------------------------------------------------------------------------------------------------------


def _fit_litellm(fitting: Fitting) -> None:
    """OpenAI's names; litellm translates them and says which it cannot."""
    params = fitting.params
    fitting.put("max_tokens", fitting.limit)
    fitting.body.update(fitting.sampling(effort=""))
    if params.stop:
        fitting.put("stop", list(params.stop))
    fitting.put("seed", params.seed)
    fitting.put("reasoning_effort", params.reasoning_effort)
    budget = params.thinking_budget or 0
    if fitting.limit is not None and budget >= fitting.limit:
        budget = fitting.limit - 1
        fitting.note(f"thinking_budget: {params.thinking_budget:,} became {budget:,}, below max_tokens.")
    if budget > 0:
        fitting.put("thinking", {"type": "enabled", "budget_tokens": budget})
    fitting.take_extra()
