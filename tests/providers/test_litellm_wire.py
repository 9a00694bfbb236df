"""Everything that goes through litellm, in one module: importing it takes seconds."""

from __future__ import annotations

import inspect
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from provider_kit import Wire, wired

from workbench.core.clock import SystemClock
from workbench.core.errors import (
    BadRequest,
    ConnectionFailed,
    ContentBlocked,
    ContextOverflow,
    IncompleteStream,
    KeyRejected,
    ModelNotFound,
    Overloaded,
    ProviderError,
    QuotaSpent,
    RateLimited,
    ServerError,
    TimedOut,
    UnsupportedParameter,
)
from workbench.core.events import UsageReport
from workbench.core.types import FinishReason, Message, Params, Usage
from workbench.providers.base import Deadlines, WireFamily
from workbench.providers.catalog import ANTHROPIC, rows_from
from workbench.providers.embeddings import embed
from workbench.providers.failures import Witness
from workbench.providers.fetching import Account
from workbench.providers.litellm_fallback import import_litellm, litellm_error
from workbench.providers.transport_errors import Place
from workbench.simulator.server import SimulatorThread

# litellm reads pydantic attributes in a way that pydantic has deprecated; nobody but its authors can change that.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

WITNESS = Witness(
    Place("Groq", "https://groq.invalid", "groq/x"), "sk-secret-0123456789", ("GROQ_API_KEY", "GROQ_KEYS")
)


@pytest.fixture(scope="module")
def looked_up() -> Iterator[list[str]]:
    """Every name that anything in this module wanted an address for."""
    names: list[str] = []
    real = socket.getaddrinfo

    def recording(host: Any, *args: Any, **kwargs: Any) -> Any:
        names.append(str(host))
        return real(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", recording)
        yield names


@pytest.fixture(scope="module")
def litellm(looked_up: list[str]) -> Any:
    return import_litellm()


@pytest.fixture
async def fallback(litellm: Any, wire: Wire) -> Wire:
    return wire


async def test_an_answer_comes_with_reasoning_and_usage(fallback: Wire) -> None:
    streamed = await fallback.ask("deepseek/deepseek-reasoner")
    whole = await fallback.ask("deepseek/deepseek-reasoner", stream=False)

    assert streamed.error is None
    assert streamed.end.finish_reason is FinishReason.STOP
    assert streamed.reasoning
    assert (whole.text, whole.reasoning, whole.usage) == (streamed.text, streamed.reasoning, streamed.usage)
    assert streamed.usage.output > streamed.usage.reasoning > 0


async def test_a_limit_is_kept_and_its_end_named(fallback: Wire) -> None:
    heard = await fallback.ask("groq/llama-3.3-70b-versatile!length;after=3", params=Params(max_tokens=50))

    assert heard.end.finish_reason is FinishReason.LENGTH


async def test_usage_that_nobody_stated_is_not_made_up(fallback: Wire) -> None:
    heard = await fallback.ask("groq/llama-3.3-70b-versatile!usage-missing")

    assert heard.error is None
    assert not any(isinstance(event, UsageReport) for event in heard.events)


@pytest.mark.parametrize("fault", ["cut;after=4", "drop;after=4"])
async def test_a_stream_that_breaks_off_is_incomplete_whatever_litellm_makes_of_it(fallback: Wire, fault: str) -> None:
    heard = await fallback.ask(f"groq/llama-3.3-70b-versatile!{fault}")

    assert type(heard.error) is IncompleteStream
    assert heard.text


async def test_silence_has_its_deadline_here_too(fallback: Wire) -> None:
    hasty = Deadlines(connect_s=60, first_token_s=60, idle_s=0.2, total_s=120)

    heard = await fallback.ask("groq/llama-3.3-70b-versatile!stall;after=4", deadlines=hasty)

    assert type(heard.error) is TimedOut


REFUSALS: dict[str, type[ProviderError]] = {
    "rate-requests;retry_after=7": RateLimited,
    "spent": QuotaSpent,
    "unauthorized": KeyRejected,
    "not-found": ModelNotFound,
    "context-overflow": ContextOverflow,
    "unsupported;parameter=seed": UnsupportedParameter,
    "server-error": ServerError,
    "unavailable": Overloaded,
    "reset": ConnectionFailed,
}


async def test_every_refusal_is_what_it_is_and_is_sent_once(fallback: Wire, simulator: SimulatorThread) -> None:
    heard = {fault: await fallback.ask(f"groq/llama-3.3-70b-versatile!{fault}") for fault in REFUSALS}

    assert {fault: type(one.error) for fault, one in heard.items()} == REFUSALS
    limited = heard["rate-requests;retry_after=7"].error
    assert isinstance(limited, RateLimited)
    assert limited.retry_after_s == pytest.approx(7, abs=1)
    assert simulator.call(lambda simulation: simulation.journal.tally().requests) == len(REFUSALS)


async def test_anthropic_may_go_through_litellm(litellm: Any, simulator: SimulatorThread) -> None:
    row = replace(ANTHROPIC, family=WireFamily.LITELLM)
    async with wired(simulator.base_urls) as wire:
        wire.rows = rows_from({}, [row])

        heard = await wire.ask("anthropic/claude-haiku-4-5", params=Params(thinking_budget=2_000, max_tokens=4_000))

    assert heard.error is None
    assert heard.text
    assert heard.reasoning
    assert heard.usage.input > 0


async def test_the_key_stays_in_its_header(fallback: Wire, simulator: SimulatorThread) -> None:
    heard = await fallback.hear(
        fallback.call("groq/llama-3.3-70b-versatile!unauthorized", (Message.user("Hi"),), key="sim-key-99")
    )

    assert heard.error is not None
    assert "sim-key-99" not in f"{heard.error!r}{heard.error}"


# Classes that stand for litellm's own proxy, router, guardrails and vector stores, which this package does not use.
NOT_OURS = {
    "BudgetExceededError",
    "ModelNotMappedError",
    "GuardrailRaisedException",
    "BlockedPiiEntityError",
    "ModifyResponseException",
    "SensitiveDataRouteException",
    "MidStreamFallbackError",
    "MockException",
    "RejectedRequestError",
    "OpenAIError",
    "VectorStoreSearchError",
    "ImageFetchError",
}
EXPECTED: dict[str, type[ProviderError]] = {
    "AuthenticationError": KeyRejected,
    "NotFoundError": ModelNotFound,
    "BadRequestError": BadRequest,
    "UnprocessableEntityError": BadRequest,
    "Timeout": TimedOut,
    "PermissionDeniedError": KeyRejected,
    "RateLimitError": RateLimited,
    "ContextWindowExceededError": ContextOverflow,
    "PaymentRequiredError": QuotaSpent,
    "ContentPolicyViolationError": ContentBlocked,
    "ServiceUnavailableError": Overloaded,
    "BadGatewayError": ServerError,
    "InternalServerError": ServerError,
    "APIError": ServerError,
    "APIConnectionError": ConnectionFailed,
    "APIResponseValidationError": ServerError,
    "JSONSchemaValidationError": ServerError,
    "UnsupportedParamsError": UnsupportedParameter,
    "InvalidRequestError": BadRequest,
    "LiteLLMUnknownProvider": BadRequest,
}


def test_every_error_class_of_litellm_is_translated(litellm: Any) -> None:
    """A new one fails here, so that somebody decides what it means before it reaches a person."""
    classes = {
        name: value
        for name, value in vars(litellm.exceptions).items()
        if inspect.isclass(value) and issubclass(value, Exception) and value.__module__ == "litellm.exceptions"
    }

    assert classes.keys() - NOT_OURS == EXPECTED.keys()
    assert {name: type(litellm_error(made(classes[name]), WITNESS, SystemClock())) for name in EXPECTED} == EXPECTED


def made(kind: type[Exception]) -> Exception:
    """An instance, with whatever arguments its class cannot do without."""
    refused = "groq does not support parameters: ['seed']"
    request = httpx.Request("POST", "https://groq.invalid")
    known = {
        "message": refused if kind.__name__ == "UnsupportedParamsError" else "It failed.",
        "model": "x",
        "llm_provider": "groq",
        "custom_llm_provider": "groq",
        "status_code": 500,
        "status": 500,
        "raw_response": "{}",
        "schema": "{}",
        "body": None,
        "request": request,
        "response": httpx.Response(kind.__dict__.get("status_code", 422), request=request),
    }
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    return kind(
        **{each.name: known[each.name] for each in parameters if each.default is each.empty and each.name in known}
    )


async def test_nothing_was_looked_up_and_nothing_is_left_on(fallback: Wire, litellm: Any, looked_up: list[str]) -> None:
    await fallback.ask("groq/llama-3.3-70b-versatile")

    assert set(looked_up) <= {"127.0.0.1", "localhost"}
    assert os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] == "True"
    assert (litellm.num_retries, litellm.cache, litellm.callbacks, litellm.success_callback) == (0, None, [], [])


async def test_embeddings_go_through_litellm_too(fallback: Wire) -> None:
    call = fallback.call("mistral/mistral-embed")
    account = Account(call.spec, call.key, None, call.route.wire_model)

    embedded = await embed(fallback.connections, account, ["a", "b"])
    with pytest.raises(KeyRejected):
        await embed(fallback.connections, replace(account, key="sim-key-dead"), ["a"])

    assert [len(vector) for vector in embedded.vectors] == [1024, 1024]
    assert embedded.usage == Usage(input=2)
