from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.types import Json, Params, Route
from workbench.providers.capabilities import EFFORTS, ParameterMemory, nearest_effort
from workbench.providers.catalog import BUILT_IN, known_models, resolve
from workbench.providers.fitting import Fitted, fit
from workbench.providers.parameters import LIMIT_NAMES

QWEN_CARD = {"presence_penalty": 1.5, "temperature": 1.0, "top_k": 20, "top_p": 0.95}
RESPONSES = {"reasoning": {"summary": "auto"}, "store": False, "include": ["reasoning.encrypted_content"]}


def fitted(model: str, params: Params, refused: frozenset[str] = frozenset()) -> Fitted:
    spec, wire_model = resolve(model, BUILT_IN)
    return fit(spec, wire_model, params, refused)


@pytest.mark.parametrize(
    ("model", "params", "body"),
    [
        pytest.param(
            "gpt-4o",
            Params(max_tokens=9, temperature=0.2),
            {"max_completion_tokens": 9, "temperature": 0.2},
            id="limit-renamed",
        ),
        pytest.param(
            "together_ai/x/y", Params(max_tokens=9, seed=3), {"max_tokens": 9, "seed": 3}, id="limit-as-it-is"
        ),
        pytest.param("gpt-5", Params(temperature=0.2, top_p=0.5), RESPONSES, id="sampling-refused"),
        pytest.param(
            "gpt-5.4", Params(temperature=0.2), RESPONSES | {"temperature": 0.2}, id="sampling-without-reasoning"
        ),
        pytest.param(
            "gpt-5.4",
            Params(temperature=0.2, reasoning_effort="high"),
            RESPONSES | {"reasoning": {"summary": "auto", "effort": "high"}},
            id="sampling-gives-way-to-reasoning",
        ),
        pytest.param("gpt-5.6-sol", Params(temperature=0.2), RESPONSES, id="reasons-by-default"),
        pytest.param(
            "gpt-5",
            Params(max_tokens=9, stop=("x",), seed=1),
            RESPONSES | {"max_output_tokens": 9},
            id="responses-has-no-stop-or-seed",
        ),
        pytest.param("gpt-4o", Params(reasoning_effort="low"), {}, id="no-effort-for-a-model-that-does-not-reason"),
        pytest.param("local/qwen3.5-27b", Params(), QWEN_CARD, id="card-defaults"),
        pytest.param(
            "local/qwen3.5-27b", Params(temperature=0.1), QWEN_CARD | {"temperature": 0.1}, id="the-callers-value-wins"
        ),
        pytest.param(
            "local/qwen3-8b",
            Params(reasoning_effort="none"),
            {"chat_template_kwargs": {"enable_thinking": False}},
            id="switch-off",
        ),
        pytest.param(
            "together_ai/Qwen/Qwen3-8B",
            Params(thinking_budget=0),
            {"reasoning": {"enabled": False}},
            id="switch-at-together",
        ),
        pytest.param("openrouter/a/b", Params(), {"provider": {"sort": "price"}}, id="row-defaults"),
        pytest.param(
            "openrouter/a/b",
            Params(extra=(("provider", {"order": ["x"]}),), thinking_budget=500),
            {"provider": {"order": ["x"]}, "reasoning": {"max_tokens": 500}},
            id="row-defaults-give-way",
        ),
        pytest.param(
            "gemini/gemini-2.5-flash",
            Params(thinking_budget=0, stop=("x",)),
            {"stop_sequences": ["x"], "thinking_config": {"thinking_budget": 0, "include_thoughts": False}},
            id="gemini-2.5-budget",
        ),
        pytest.param(
            "gemini/gemini-2.5-pro",
            Params(reasoning_effort="none"),
            {"thinking_config": {"thinking_budget": 128, "include_thoughts": True}},
            id="gemini-2.5-pro-always-thinks",
        ),
        pytest.param(
            "gemini/gemini-3.5-flash",
            Params(thinking_budget=0),
            {"thinking_config": {"thinking_level": "minimal", "include_thoughts": True}},
            id="gemini-3-level-for-a-budget",
        ),
        pytest.param(
            "gemini/gemini-3.1-pro-preview",
            Params(reasoning_effort="xhigh", thinking_budget=5),
            {"thinking_config": {"thinking_level": "high", "include_thoughts": True}},
            id="gemini-3-never-both",
        ),
        pytest.param(
            "gemini/gemini-2.0-flash",
            Params(thinking_budget=5, reasoning_effort="low"),
            {},
            id="gemini-2.0-does-not-think",
        ),
        pytest.param("anthropic/claude-haiku-4-5", Params(), {"max_tokens": 8_192}, id="anthropic-demands-a-limit"),
        pytest.param(
            "anthropic/claude-haiku-4-5",
            Params(thinking_budget=2_000, temperature=0.5),
            {"max_tokens": 10_192, "thinking": {"type": "enabled", "budget_tokens": 2_000}},
            id="claude-4-budget",
        ),
        pytest.param(
            "anthropic/claude-haiku-4-5",
            Params(thinking_budget=2_000, max_tokens=1_500),
            {"max_tokens": 1_500, "thinking": {"type": "enabled", "budget_tokens": 1_499}},
            id="the-budget-gives-way-to-the-limit",
        ),
        pytest.param(
            "anthropic/claude-haiku-4-5",
            Params(thinking_budget=2_000, max_tokens=500),
            {"max_tokens": 500},
            id="no-room-to-think",
        ),
        pytest.param(
            "anthropic/claude-sonnet-4-6",
            Params(reasoning_effort="xhigh", max_tokens=9, temperature=1.0),
            {
                "max_tokens": 9,
                "temperature": 1.0,
                "thinking": {"type": "adaptive", "display": "summarized"},
                "output_config": {"effort": "high"},
            },
            id="claude-4.6-effort",
        ),
        pytest.param(
            "anthropic/claude-sonnet-5",
            Params(reasoning_effort="none", max_tokens=9, temperature=0.3, top_p=0.4),
            {"max_tokens": 9, "thinking": {"type": "disabled"}},
            id="claude-5-no-sampling",
        ),
        pytest.param(
            "anthropic/claude-opus-5-5",
            Params(max_tokens=9),
            {"max_tokens": 9, "thinking": {"type": "adaptive", "display": "summarized"}},
            id="claude-5.5-always-thinks",
        ),
        pytest.param(
            "anthropic/claude-haiku-4-5",
            Params(max_tokens=9, temperature=0.3, top_p=0.4),
            {"max_tokens": 9, "temperature": 0.3},
            id="one-of-two",
        ),
        pytest.param(
            "groq/x",
            Params(max_tokens=9, reasoning_effort="low"),
            {"max_tokens": 9, "reasoning_effort": "low"},
            id="litellm",
        ),
    ],
)
def test_parameters_become_what_the_model_takes(model: str, params: Params, body: dict[str, Json]) -> None:
    assert fitted(model, params).body == body


SCHEMA: Json = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}, "strict": True}}


@pytest.mark.parametrize(
    ("model", "part"),
    [
        ("gpt-4o", {"response_format": SCHEMA}),
        (
            "gpt-5",
            {"text": {"format": {"type": "json_schema", "name": "s", "schema": {"type": "object"}, "strict": True}}},
        ),
        (
            "gemini/gemini-2.5-flash",
            {"response_mime_type": "application/json", "response_json_schema": {"type": "object"}},
        ),
        (
            "anthropic/claude-sonnet-5",
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        ),
    ],
)
def test_one_schema_is_asked_for_in_every_dialect(model: str, part: dict[str, Json]) -> None:
    body = fitted(model, Params(extra=(("response_format", SCHEMA),))).body

    assert body.items() >= part.items()
    assert "response_format" not in body or model == "gpt-4o"


@pytest.mark.parametrize(
    ("model", "params", "says"),
    [
        ("gpt-4o", Params(max_tokens=9), "max_tokens: sent as max_completion_tokens."),
        ("gpt-5", Params(temperature=0.2), "temperature: left out, gpt-5 does not take it."),
        ("gpt-5.4", Params(reasoning_effort="minimal"), "reasoning_effort: minimal became none; gpt-5.4 has none, low"),
        ("gpt-5", Params(seed=1), "seed: left out, the Responses API has none."),
        ("gpt-4o", Params(extra=(("n", 3),)), "n: only the first choice is shown."),
        ("local/qwen3.5-27b", Params(), "its card's defaults were added (presence_penalty 1.5"),
        ("gemini/gemini-2.5-pro", Params(thinking_budget=1), "thinking_budget: 1 became 128;"),
        ("anthropic/claude-sonnet-5", Params(), "max_tokens: 16,384, because Anthropic demands a limit"),
        ("anthropic/claude-sonnet-5", Params(seed=1), "seed: left out, Anthropic has none."),
    ],
)
def test_whatever_is_changed_is_said(model: str, params: Params, says: str) -> None:
    assert any(says in note for note in fitted(model, params).notes), fitted(model, params).notes


@pytest.mark.parametrize(
    ("model", "params", "refused", "body"),
    [
        ("gpt-4o", Params(seed=1, temperature=0.5), {"seed"}, {"temperature": 0.5}),
        ("local/x", Params(max_tokens=5), {"max_tokens"}, {"max_completion_tokens": 5}),
        ("gpt-4o", Params(max_tokens=5), {"max_completion_tokens"}, {"max_tokens": 5}),
        ("gpt-5", Params(), {"reasoning.summary"}, {"store": False, "include": ["reasoning.encrypted_content"]}),
        ("gpt-5", Params(), {"nothing_like_it"}, RESPONSES),
    ],
)
def test_what_was_refused_before_is_left_out_or_renamed(
    model: str, params: Params, refused: set[str], body: dict[str, Json]
) -> None:
    assert fitted(model, params, frozenset(refused)).body == body


def test_a_refused_parameter_that_is_left_out_is_said() -> None:
    assert fitted("gpt-4o", Params(seed=1), frozenset({"seed"})).notes == ("seed: left out, gpt-4o has refused it.",)


def test_fitting_leaves_the_callers_values_alone() -> None:
    provider: dict[str, Json] = {"order": ["x"]}

    fitted("openrouter/a/b", Params(extra=(("provider", provider),)), frozenset({"provider"}))
    fitted("openrouter/a/b", Params(), frozenset({"provider.sort"}))

    assert provider == {"order": ["x"]}
    assert fitted("openrouter/a/b", Params()).body == {"provider": {"sort": "price"}}


PARAMS = st.builds(
    Params,
    temperature=st.none() | st.sampled_from([0.0, 0.7, 1.0]),
    top_p=st.none() | st.sampled_from([0.5, 1.0]),
    max_tokens=st.none() | st.integers(1, 200_000),
    stop=st.sampled_from([(), ("x",)]),
    seed=st.none() | st.integers(0, 9),
    reasoning_effort=st.none() | st.sampled_from(EFFORTS),
    thinking_budget=st.none() | st.integers(-1, 100_000),
)
MODELS = [model.name for model in known_models()]


@settings(deadline=None, max_examples=400)
@given(model=st.sampled_from(MODELS), params=PARAMS)
def test_no_fitting_raises_a_limit_or_mixes_budget_and_level(model: str, params: Params) -> None:
    body = fitted(model, params).body

    limits = [value for name in LIMIT_NAMES if isinstance(value := body.get(name), int)]
    if params.max_tokens is not None:
        assert limits == [params.max_tokens]
    thinking = body.get("thinking_config")
    if isinstance(thinking, dict):
        assert not {"thinking_budget", "thinking_level"} <= thinking.keys()
    claude = body.get("thinking")
    if isinstance(claude, dict) and "budget_tokens" in claude:
        assert all(claude["budget_tokens"] < limit for limit in limits)


@pytest.mark.parametrize(
    ("wanted", "known", "chosen"),
    [
        ("minimal", ("low", "high"), "low"),
        ("max", ("none", "low", "high"), "high"),
        ("medium", ("low", "high"), "low"),
        ("none", ("low",), "low"),
        ("high", (), "high"),
        ("unheard-of", ("low",), "unheard-of"),
    ],
)
def test_the_nearest_effort_is_the_weaker_of_two(wanted: str, known: tuple[str, ...], chosen: str) -> None:
    assert nearest_effort(wanted, known) == chosen


ROUTE = Route("gpt-5", "openai", "gpt-5", "https://api.openai.com/v1")


def test_memory_is_kept_by_route_and_knows_what_is_news() -> None:
    memory = ParameterMemory()

    assert memory.remember(ROUTE, "temperature")
    assert not memory.remember(ROUTE, "temperature")
    assert memory.remember(ROUTE, "reasoning.summary")
    assert memory.refused(ROUTE) == {"temperature", "reasoning.summary"}
    assert memory.refused(Route("gpt-5", "openai", "gpt-5", "http://elsewhere")) == frozenset()

    memory.forget()
    assert memory.refused(ROUTE) == frozenset()


def test_memory_takes_neither_nonsense_nor_everything() -> None:
    memory = ParameterMemory()

    assert not memory.remember(ROUTE, "")
    assert not memory.remember(ROUTE, "no parameter at all")
    assert sum(memory.remember(ROUTE, f"p{number}") for number in range(99)) == ParameterMemory.MAX_NAMES
