"""What each model takes, refuses and does by default: a table of patterns, read before anything is sent.

First matching row wins, so special names stand above general ones. The table holds only what makes a request fail or
answer differently; prices and context windows are elsewhere. What it does not know yet the providers say themselves
(400, unsupported parameter), and `ParameterMemory` keeps that for the rest of the run.

Sources: the OpenAI, Anthropic and Gemini parameter references and the model table shipped with litellm 1.106.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

from workbench.core.types import Json, Params, Route
from workbench.providers.base import ProviderSpec, WireFamily
from workbench.providers.reasoning import ThinkTags


class Sampling(StrEnum):
    """Whether temperature and top_p may be sent."""

    FREE = "free"
    ONE = "one"
    """Temperature or top_p, not both."""
    WITHOUT_REASONING = "without reasoning"
    """Only while the effort is none."""
    REFUSED = "refused"


class Thinking(StrEnum):
    """How reasoning is asked for."""

    AS_GIVEN = "as given"
    """Nothing known: `reasoning_effort` goes out as the caller wrote it."""
    NEVER = "never"
    EFFORT = "effort"
    GEMINI_BUDGET = "gemini budget"
    GEMINI_LEVEL = "gemini level"
    CLAUDE_BUDGET = "claude budget"
    CLAUDE_EITHER = "claude budget or effort"
    CLAUDE_EFFORT = "claude effort"
    SWITCH = "switch"
    """On or off, through the chat template."""


@dataclass(frozen=True, slots=True)
class Traits:
    """One model's behaviour towards parameters."""

    sampling: Sampling = Sampling.FREE
    thinking: Thinking = Thinking.AS_GIVEN
    efforts: tuple[str, ...] = ()
    """The effort names it knows, weakest first; empty = unknown."""
    default_effort: str = ""
    """What it does when nothing is asked for; empty = it reasons."""
    always_thinks: bool = False
    budget: tuple[int, int] = (0, 0)
    """Least and most thinking tokens, where thinking is asked for by budget."""
    limit_name: str = "max_tokens"
    refuses: frozenset[str] = frozenset()
    uses_responses: bool = False
    default_max_tokens: int = 8_192
    """Sent where the wire demands a limit and the caller gave none."""
    think_tags: ThinkTags | None = None
    """None = the model never writes tags into its answer."""
    defaults: tuple[tuple[str, Json], ...] = ()
    """Sent unless the caller sets them."""
    cache_minimum: int = 1_024
    """Shortest prompt prefix, in tokens, that the provider caches."""


EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""All names there are, weakest first."""

_OPENAI = Traits(
    thinking=Thinking.EFFORT,
    sampling=Sampling.WITHOUT_REASONING,
    limit_name="max_completion_tokens",
    uses_responses=True,
)
_O_SERIES = replace(_OPENAI, sampling=Sampling.REFUSED, efforts=("low", "medium", "high"), refuses=frozenset({"stop"}))
_GPT_5 = replace(_OPENAI, sampling=Sampling.REFUSED, efforts=("minimal", "low", "medium", "high"))
_GPT_5_4 = replace(_OPENAI, efforts=("none", "low", "medium", "high", "xhigh"), default_effort="none")
_GPT_5_6 = replace(_OPENAI, efforts=("none", "low", "medium", "high", "xhigh", "max"))
_GPT_CHAT = replace(_OPENAI, thinking=Thinking.NEVER, sampling=Sampling.FREE)
_GPT_4 = Traits(thinking=Thinking.NEVER, limit_name="max_completion_tokens")

_GEMINI = Traits(thinking=Thinking.GEMINI_LEVEL, efforts=("low", "medium", "high"), cache_minimum=4_096)
_GEMINI_FLASH_3 = replace(_GEMINI, efforts=("minimal", "low", "medium", "high"))
_GEMINI_2_5 = replace(_GEMINI, thinking=Thinking.GEMINI_BUDGET, efforts=(), budget=(0, 24_576), cache_minimum=1_024)

_CLAUDE = Traits(
    thinking=Thinking.CLAUDE_EFFORT,
    sampling=Sampling.REFUSED,
    efforts=("low", "medium", "high", "xhigh", "max"),
    default_max_tokens=16_384,
)
_CLAUDE_5_5 = replace(_CLAUDE, always_thinks=True, default_max_tokens=32_768)
_CLAUDE_4_6 = replace(
    _CLAUDE, thinking=Thinking.CLAUDE_EITHER, sampling=Sampling.ONE, efforts=("low", "medium", "high", "max")
)
_CLAUDE_4 = replace(
    _CLAUDE, thinking=Thinking.CLAUDE_BUDGET, sampling=Sampling.ONE, efforts=(), budget=(1_024, 63_999),
    default_max_tokens=8_192,
)  # fmt: skip

_COMPATIBLE = Traits(think_tags=ThinkTags())
_QWEN_3 = replace(_COMPATIBLE, thinking=Thinking.SWITCH)
# From the model card: greedy or cold sampling makes it repeat itself without end.
_QWEN_3_5 = replace(
    _QWEN_3,
    defaults=(("presence_penalty", 1.5), ("temperature", 1.0), ("top_k", 20), ("top_p", 0.95)),
)

_OPENAI_LIKE = frozenset({WireFamily.OPENAI_CHAT, WireFamily.OPENAI_RESPONSES})
_GEMINI_ONLY = frozenset({WireFamily.GEMINI})
_CLAUDE_ONLY = frozenset({WireFamily.ANTHROPIC})


@dataclass(frozen=True, slots=True)
class Rule:
    families: frozenset[WireFamily]
    patterns: tuple[str, ...]
    """Globs over the model's name in lower case, with and without the part before its last slash."""
    traits: Traits
    provider: str = ""
    """Only for this provider row; empty = every row of these families."""


def _rule(families: frozenset[WireFamily], patterns: str, traits: Traits, provider: str = "") -> Rule:
    return Rule(families, tuple(patterns.split()), traits, provider)


RULES: Final = (
    # OpenRouter adapts parameters to the model behind it, so only the tags matter here.
    _rule(_OPENAI_LIKE, "*", replace(_COMPATIBLE, thinking=Thinking.EFFORT), "openrouter"),
    _rule(_OPENAI_LIKE, "gpt-oss*", replace(_COMPATIBLE, thinking=Thinking.EFFORT, efforts=("low", "medium", "high"))),
    _rule(_OPENAI_LIKE, "o1* o3* o4*", _O_SERIES),
    _rule(_OPENAI_LIKE, "gpt-5-chat* gpt-5.?-chat* chat-latest", _GPT_CHAT),
    _rule(_OPENAI_LIKE, "gpt-5-pro*", replace(_GPT_5, efforts=("high",))),
    _rule(_OPENAI_LIKE, "gpt-5.?-pro*", replace(_GPT_5, efforts=("medium", "high", "xhigh"))),
    _rule(_OPENAI_LIKE, "gpt-5*codex*", replace(_GPT_5, efforts=("low", "medium", "high", "xhigh"))),
    _rule(_OPENAI_LIKE, "gpt-5 gpt-5-*", _GPT_5),
    _rule(_OPENAI_LIKE, "gpt-5.1*", replace(_GPT_5_4, efforts=("none", "low", "medium", "high"))),
    _rule(_OPENAI_LIKE, "gpt-5.[234]*", _GPT_5_4),
    _rule(_OPENAI_LIKE, "gpt-5.5*", replace(_GPT_5_4, default_effort="")),
    _rule(_OPENAI_LIKE, "gpt-6-astra*", replace(_GPT_5_6, efforts=("low", "medium", "high", "xhigh", "max"))),
    _rule(_OPENAI_LIKE, "gpt-5.6* gpt-6*", _GPT_5_6),
    _rule(_OPENAI_LIKE, "gpt-[5-9]* gpt-[1-9][0-9]*", _OPENAI),
    _rule(_OPENAI_LIKE, "gpt-4* gpt-3.5* chatgpt-4* ft:gpt-4* ft:gpt-3.5*", _GPT_4),
    _rule(_OPENAI_LIKE, "*qwen3.5*", _QWEN_3_5),
    _rule(_OPENAI_LIKE, "*qwen3*instruct* *qwen3*coder*", _COMPATIBLE),
    # Their chat templates end with the opening tag, so without a parser in the server only the closing one is sent.
    _rule(_OPENAI_LIKE, "*qwen3*thinking-2507*", replace(_COMPATIBLE, think_tags=ThinkTags(prefilled=True))),
    _rule(_OPENAI_LIKE, "*qwen3*", _QWEN_3),
    _rule(_OPENAI_LIKE, "*magistral*", replace(_COMPATIBLE, think_tags=ThinkTags("[THINK]", "[/THINK]"))),
    _rule(_OPENAI_LIKE, "*", _COMPATIBLE),
    _rule(_GEMINI_ONLY, "gemini-2.5-pro*", replace(_GEMINI_2_5, budget=(128, 32_768))),
    _rule(_GEMINI_ONLY, "gemini-2.5*", _GEMINI_2_5),
    _rule(_GEMINI_ONLY, "gemini-1* gemini-2* gemma-[23]* learnlm*", Traits(thinking=Thinking.NEVER)),
    _rule(_GEMINI_ONLY, "gemini-3-flash* gemini-3.[1-6]-flash*", _GEMINI_FLASH_3),
    _rule(_GEMINI_ONLY, "*", _GEMINI),
    _rule(_CLAUDE_ONLY, "claude-3-7*", _CLAUDE_4),
    _rule(_CLAUDE_ONLY, "claude-3* claude-2*", Traits(thinking=Thinking.NEVER, default_max_tokens=4_096)),
    _rule(_CLAUDE_ONLY, "claude-haiku-4-5*", replace(_CLAUDE_4, cache_minimum=4_096)),
    _rule(_CLAUDE_ONLY, "claude-*-4-6*", _CLAUDE_4_6),
    _rule(_CLAUDE_ONLY, "claude-*-4-[78]*", _CLAUDE),
    _rule(_CLAUDE_ONLY, "claude-opus-4-[01]* claude-opus-4-20*", replace(_CLAUDE_4, budget=(1_024, 31_999))),
    _rule(_CLAUDE_ONLY, "claude-*-4*", _CLAUDE_4),
    _rule(_CLAUDE_ONLY, "claude-sonnet-5-5* claude-opus-5-5* claude-fable* claude-mythos*", _CLAUDE_5_5),
    _rule(_CLAUDE_ONLY, "*", _CLAUDE),
)


def traits_of(spec: ProviderSpec, wire_model: str) -> Traits:
    """What is known about this model behind this provider row."""
    return _traits(spec.family, spec.name, wire_model)


@lru_cache(maxsize=1024)  # asked three times for each request, and a tenth of its cost when it was worked out anew
def _traits(family: WireFamily, provider: str, wire_model: str) -> Traits:
    name = wire_model.lower()
    short = name.rpartition("/")[2]
    for rule in RULES:
        if family not in rule.families or (rule.provider and rule.provider != provider):
            continue
        if any(fnmatchcase(short, pattern) or fnmatchcase(name, pattern) for pattern in rule.patterns):
            return rule.traits
    return Traits()


def wire_family(spec: ProviderSpec, wire_model: str, params: Params) -> WireFamily:
    """Which adapter takes the call: Responses only where the row speaks it, the model gains by it, and n is 1."""
    if spec.family is not WireFamily.OPENAI_RESPONSES:
        return spec.family
    several = dict(params.extra).get("n") not in (None, 1)
    if several or not traits_of(spec, wire_model).uses_responses:
        return WireFamily.OPENAI_CHAT
    return WireFamily.OPENAI_RESPONSES


def nearest_effort(wanted: str, known: tuple[str, ...]) -> str:
    """The known effort that is closest to the wanted one; the weaker of two that are equally close."""
    if not known or wanted in known or wanted not in EFFORTS:
        return wanted
    place = EFFORTS.index(wanted)
    return min(known, key=lambda name: (abs(EFFORTS.index(name) - place), EFFORTS.index(name)))


_SAFE_PARAMETER = re.compile(r"[A-Za-z_][\w.\-]{0,63}")


class ParameterMemory:
    """Parameters that a model has refused, by route, for as long as the engine lives.

    One object, owned by the engine and given to the adapters. When a call fails with `UnsupportedParameter`, the engine
    says `remember(route, error.parameter)` and, if that was news, sends the call once more; the adapter then leaves the
    parameter out (or gives it its other name) and says so in its notes.
    """

    __slots__ = ("_refused",)

    MAX_NAMES: Final = 16
    """Per route: a provider that refuses more than this is refusing something else."""

    def __init__(self) -> None:
        self._refused: dict[tuple[str, str, str], frozenset[str]] = {}

    def refused(self, route: Route) -> frozenset[str]:
        """Wire names, dotted where the parameter sits inside another one (`reasoning.summary`)."""
        return self._refused.get((route.provider, route.base_url, route.wire_model), frozenset())

    def remember(self, route: Route, parameter: str) -> bool:
        """True when this is news, so that sending once more can end differently."""
        known = self.refused(route)
        if not _SAFE_PARAMETER.fullmatch(parameter) or parameter in known or len(known) >= self.MAX_NAMES:
            return False
        self._refused[route.provider, route.base_url, route.wire_model] = known | {parameter}
        return True

    def forget(self) -> None:
        self._refused.clear()
