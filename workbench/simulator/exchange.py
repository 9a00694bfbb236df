"""One request on its way through the simulator: key, body, model, faults, quota, answer, and the record of it.

The order is the providers' own: a bad key is noticed before a bad body, a bad body before a limit. Everything that
ends the request early is a `Refusal`; the dialect that owns the endpoint puts it into words.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request

from workbench.simulator import faults as fault_book
from workbench.simulator.accounts import ANONYMOUS, Account, authenticate, masked
from workbench.simulator.answers import Answer, Schedule, compose, declined, rng_for, schedule
from workbench.simulator.faults import ANSWER, BadFault, Fault, FaultKind
from workbench.simulator.journal import Ending
from workbench.simulator.models import ModelProfile, Provider
from workbench.simulator.prompt import Prompt
from workbench.simulator.prompt_cache import CacheUse
from workbench.simulator.quota import Dimension, DimensionState, Grant, Quota
from workbench.simulator.quota import Refusal as QuotaRefusal
from workbench.simulator.refusal import Reason, Refusal, RetryHint
from workbench.simulator.stream import Headers, PacedResponse, Step

if TYPE_CHECKING:
    from workbench.simulator.simulation import Simulation

Snapshot = Mapping[Dimension, DimensionState]
GUESSED_OUTPUT = 1_024
"""Tokens charged ahead for an answer that the request sets no limit to: a guess at what answers come to. Providers that
charge ahead do not take such a request for the longest answer that the model can give."""

_PRIVATE_HEADERS = frozenset({"authorization", "x-api-key", "x-goog-api-key", "api-key"})
_REASONS = {
    Dimension.REQUESTS: Reason.RATE_REQUESTS,
    Dimension.TOKENS: Reason.RATE_TOKENS,
    Dimension.INPUT_TOKENS: Reason.RATE_INPUT_TOKENS,
    Dimension.OUTPUT_TOKENS: Reason.RATE_OUTPUT_TOKENS,
    Dimension.REQUESTS_PER_DAY: Reason.RATE_REQUESTS_DAY,
    Dimension.TOKENS_PER_DAY: Reason.RATE_TOKENS_DAY,
    Dimension.IN_FLIGHT: Reason.RATE_CONCURRENCY,
}
_REFUSALS = {
    FaultKind.RATE_REQUESTS: Reason.RATE_REQUESTS,
    FaultKind.RATE_TOKENS: Reason.RATE_TOKENS,
    FaultKind.RATE_INPUT: Reason.RATE_INPUT_TOKENS,
    FaultKind.RATE_OUTPUT: Reason.RATE_OUTPUT_TOKENS,
    FaultKind.RATE_CONCURRENCY: Reason.RATE_CONCURRENCY,
    FaultKind.RATE_DAY: Reason.RATE_REQUESTS_DAY,
    FaultKind.RATE_LIMIT_ZERO: Reason.LIMIT_ZERO,
    FaultKind.REQUEST_OVER_LIMIT: Reason.REQUEST_OVER_LIMIT,
    FaultKind.SPENT: Reason.SPENT,
    FaultKind.UNAUTHORIZED: Reason.WRONG_KEY,
    FaultKind.FORBIDDEN: Reason.FORBIDDEN,
    FaultKind.NOT_FOUND: Reason.UNKNOWN_MODEL,
    FaultKind.BLOCKED: Reason.BLOCKED,
    FaultKind.TOO_LARGE: Reason.TOO_LARGE,
    FaultKind.UNSUPPORTED: Reason.UNSUPPORTED_PARAMETER,
    FaultKind.CONTEXT_OVERFLOW: Reason.CONTEXT_OVERFLOW,
    FaultKind.TIMEOUT: Reason.TIMEOUT,
    FaultKind.CONFLICT: Reason.CONFLICT,
    FaultKind.SERVER_ERROR: Reason.SERVER_ERROR,
    FaultKind.POISON: Reason.SERVER_ERROR,
    FaultKind.BAD_GATEWAY: Reason.BAD_GATEWAY,
    FaultKind.UNAVAILABLE: Reason.UNAVAILABLE,
    FaultKind.OVERLOADED: Reason.OVERLOADED,
    FaultKind.GATEWAY_TIMEOUT: Reason.GATEWAY_TIMEOUT,
}


class Exchange:
    """See the module. The methods are called in the order in which they stand."""

    def __init__(self, simulation: Simulation, provider: Provider, endpoint: str, request: Request) -> None:
        self.simulation = simulation
        self.provider = provider
        self.request = request
        self.pacer = simulation.pacer()
        client = request.client
        self.entry = simulation.journal.open(
            at_s=simulation.now_s(),
            provider=provider,
            endpoint=endpoint,
            http_version=request.scope["http_version"],
            connection=f"{client.host}:{client.port}" if client else "",
        )
        self.entry.headers = {k: v for k, v in request.headers.items() if k not in _PRIVATE_HEADERS}
        self.account = Account("", ANONYMOUS)
        self.body: dict[str, Any] = {}
        self.faults: tuple[Fault, ...] = ()
        self._model: ModelProfile | None = None
        self._quota: Quota | None = None
        self._grant: Grant | None = None
        self._identified = False
        self._slots: asyncio.Semaphore | None = None
        self._charged_input = 0

    # --- who

    def authenticate(self, key: str | None, *, required: bool = True) -> None:
        if not key and not required:
            return
        self.entry.key = key if key and key.startswith("sim-key-") else masked(key or "")
        self.account = authenticate(key)

    # --- what

    async def read_json(self) -> dict[str, Any]:
        raw = await self.request.body()
        try:
            body = msgspec.json.decode(raw) if raw else None
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise Refusal(Reason.BAD_JSON, f"We could not parse the JSON body of your request. ({exc})") from None
        if not isinstance(body, dict):
            raise Refusal(Reason.BAD_JSON, "We could not parse the JSON body of your request: it must be an object.")
        self.body = body
        self.simulation.journal.keep_body(self.entry, body)
        return body

    def choose_model(self, name: object) -> ModelProfile:
        """The model by its wire name, and the faults that this request asked for or is given."""
        if not isinstance(name, str) or not name:
            raise Refusal(Reason.MISSING_PARAMETER, "you must provide a model parameter", parameter="model")
        plain, suffix = fault_book.split_model(name)
        self.entry.model = plain
        model = self.simulation.models.find(self.provider, plain)
        self.entry.model = model.name if model else plain
        self.identify()
        if model is None:
            raise Refusal(Reason.UNKNOWN_MODEL, f"no model {plain}", model=plain, parameter="model")
        self._model = model
        asked = ",".join(filter(None, (self.request.headers.get("x-sim-fault", ""), suffix)))
        self._give_faults(asked)
        return model

    @property
    def model(self) -> ModelProfile:
        assert self._model is not None, "choose_model comes first"
        return self._model

    def read_marks(self, question: str) -> None:
        """Faults written into the prompt, where nothing else asked for one."""
        if not self.faults and "[sim:" in question:
            self._give_faults(fault_book.marks_in(question), rules=False)

    def meet_faults(self, operation: str) -> None:
        """Faults of a request that asks no model; those that refuse do so at once."""
        self.identify()
        self._give_faults(self.request.headers.get("x-sim-fault", ""), operation=operation)
        for fault in self.faults:
            reason = _REFUSALS.get(fault.kind)
            if reason is not None:
                raise Refusal(
                    reason,
                    fault.message,
                    parameter=fault.parameter,
                    retry_after_s=1.0 if fault.retry_after is None and reason.is_rate else fault.retry_after,
                    limit=100,
                    used=100,
                    requested=1,
                    hint=RetryHint(fault.hint),
                    status=fault.status,
                    should_retry=fault.should_retry,
                )

    def _give_faults(self, spec: str, *, rules: bool = True, operation: str = ANSWER) -> None:
        try:
            self.faults = fault_book.parse(spec)
        except BadFault as exc:
            raise Refusal(Reason.BAD_VALUE, str(exc), parameter="x-sim-fault") from None
        if not self.faults and rules:
            model = self._model.name if self._model else ""
            self.faults = self.simulation.faults.strike(self.provider, model, self.account.key, operation)
        self.entry.faults = tuple(fault.spec() for fault in self.faults)

    def fault(self, *kinds: FaultKind) -> Fault | None:
        return next((fault for fault in self.faults if fault.kind in kinds), None)

    def identify(self) -> None:
        if not self._identified:
            self._identified = True
            self.simulation.journal.identify(self.entry)

    # --- whether

    def admit(self, prompt: Prompt, *, cached_tokens: int = 0, count: int = 1) -> None:
        """Faults that refuse, the context window, and the quota; raises `Refusal`."""
        self.entry.input_tokens = prompt.tokens
        for fault in self.faults:
            reason = _REFUSALS.get(fault.kind)
            if reason is not None:
                raise self._scripted(fault, reason, prompt)
        if prompt.tokens > self.model.context_tokens:
            raise Refusal(
                Reason.CONTEXT_OVERFLOW,
                "the prompt is longer than the context",
                model=self.model.name,
                limit=self.model.context_tokens,
                requested=prompt.tokens,
            )
        output = (prompt.max_tokens or min(self.model.max_output_tokens, GUESSED_OUTPUT)) * count
        self.charge(max(0, prompt.tokens - cached_tokens), output)

    async def take_turn(self, slots: asyncio.Semaphore) -> None:
        """Wait for a place on a server that queues. It is given back when the exchange is closed."""
        await slots.acquire()
        self._slots = slots
        self.pacer.restart()

    def charge(self, input_tokens: int, max_output_tokens: int) -> None:
        simulation = self.simulation
        self._quota = simulation.accounts.quota(self.provider, self.model.name, self.account, simulation.now_s())
        if self._quota is None:
            return
        self._charged_input = input_tokens
        verdict = self._quota.admit(simulation.now_s(), input_tokens, max_output_tokens)
        if isinstance(verdict, QuotaRefusal):
            raise self._refused(verdict)
        self._grant = verdict

    def _refused(self, verdict: QuotaRefusal) -> Refusal:
        reason = _REASONS[verdict.kind]
        if verdict.limit == 0:
            reason = Reason.LIMIT_ZERO
        elif verdict.too_large:
            reason = Reason.REQUEST_OVER_LIMIT
        return Refusal(
            reason,
            verdict.kind if verdict.named else "",
            model=self.model.name,
            retry_after_s=float(verdict.retry_after_s) if verdict.retry_after_s is not None else None,
            wait_s=verdict.wait_s,
            limit=int(verdict.limit),
            used=math.ceil(verdict.limit - verdict.remaining),
            requested=math.ceil(verdict.requested),
            named=verdict.named,
        )

    def _scripted(self, fault: Fault, reason: Reason, prompt: Prompt) -> Refusal:
        wait_s = fault.retry_after
        if wait_s is None and reason.is_rate and reason not in (Reason.RATE_CONCURRENCY, Reason.REQUEST_OVER_LIMIT):
            wait_s = 0.0 if reason is Reason.LIMIT_ZERO else 1.0
        limit = 0 if reason is Reason.LIMIT_ZERO else self.model.context_tokens
        return Refusal(
            reason,
            fault.message,
            parameter=fault.parameter,
            model=self.model.name,
            retry_after_s=wait_s,
            limit=limit,
            used=limit,
            requested=limit + 1_234 if reason is Reason.CONTEXT_OVERFLOW else prompt.tokens,
            hint=RetryHint(fault.hint),
            status=fault.status,
            should_retry=fault.should_retry,
        )

    def snapshot(self) -> Snapshot:
        """Limits as this answer's headers state them; empty when the provider keeps them to itself."""
        if self._quota is None or not self._quota.spec.headers or not self.simulation.rate_headers:
            return {}
        return self._quota.snapshot(self.simulation.now_s())

    # --- the answer

    def answers(self, prompt: Prompt, count: int = 1) -> list[tuple[Answer, Schedule]]:
        """`count` answers to one prompt, each with its timetable."""
        simulation, model = self.simulation, self.model
        fingerprint = blake2b(
            f"{model.name}\x1f{prompt.text}".encode("utf-8", "surrogatepass"), digest_size=16
        ).digest()
        fixed = prompt.temperature == 0 or prompt.seed is not None
        occurrence = 0 if fixed else simulation.occurrence(fingerprint)
        pace = simulation.profile.pace_of(model)
        per_event = simulation.profile.tokens_per_event or model.tokens_per_event
        result = []
        for index in range(count):
            rng = rng_for(simulation.seed, model.name, prompt.seed, prompt.text, prompt.temperature, occurrence, index)
            answer = self._bent(self._composed(prompt, rng))
            result.append((answer, schedule(answer, pace, per_event, rng)))
        self.entry.output_tokens = sum(answer.output_tokens for answer, _ in result)
        return result

    def _composed(self, prompt: Prompt, rng: Any) -> Answer:
        if self.fault(FaultKind.REFUSAL):
            return declined(prompt, rng)
        profile = self.simulation.profile
        return compose(prompt, rng, scale=profile.answer_scale, reasoning_scale=profile.reasoning_scale)

    def _bent(self, answer: Answer) -> Answer:
        """The answer, as faults change what is said."""
        for fault in self.faults:
            answer = answer.bent_by(fault)
        return answer

    def cache_use(self, prompt: Prompt) -> CacheUse:
        """What the automatic prompt cache makes of this prompt."""
        minimum = self.model.cache_minimum_tokens
        if minimum is None:
            return CacheUse()
        scope = f"{self.provider}/{self.account.organisation}/{self.model.name}"
        return self.simulation.prompt_cache.automatic(
            scope, prompt.text, prompt.tokens, minimum, self.simulation.now_s()
        )

    # --- the end

    def respond(
        self,
        steps: Iterable[Step],
        headers: Callable[[], Headers] | None,
        *,
        open_s: float,
        status: int = 200,
        reserve: int = 0,
    ) -> PacedResponse:
        """The response that carries these steps and settles this exchange when it is over."""
        self.entry.status = status
        slow = self.fault(FaultKind.SLOW_START)
        delay_s = slow.seconds if slow else 0.0
        return PacedResponse(
            pacer=self.pacer,
            steps=steps,
            headers=headers,
            on_end=self._ended,
            status=status,
            headers_at_s=open_s + delay_s,
            coalesce_s=math.inf
            if self.fault(FaultKind.WHOLE)
            else max(self.simulation.coalesce_s, self.simulation.profile.beat_s / 2),
        )

    def _ended(self, ending: Ending, sent_tokens: int) -> None:
        if ending is not Ending.COMPLETED:
            self.entry.output_tokens = min(self.entry.output_tokens, sent_tokens)
        self.close(ending)

    def close(self, ending: Ending) -> None:
        """Settle and record. Harmless the second time."""
        simulation = self.simulation
        if self._grant is not None and self._quota is not None:
            self._quota.settle(self._grant, simulation.now_s(), self._charged_input, self.entry.output_tokens)
            self._grant = None
        if self._slots is not None:
            self._slots.release()
            self._slots = None
        self.identify()
        simulation.release(self.pacer)
        simulation.journal.close(self.entry, ending, simulation.now_s())
