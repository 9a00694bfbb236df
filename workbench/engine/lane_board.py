"""All lanes of a process: which exist, which keys they use, and which turned out to be one and the same.

One lane per (provider, base URL, account, model family). Keys that are declared to share an account start in one lane;
keys that are found to share one are merged later, and calls still in flight are settled with the lane that took over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from random import Random

from workbench.core.errors import KeyRejected, MissingKey, ProviderError, QuotaSpent, WorkbenchError
from workbench.engine.keyring import Key
from workbench.engine.lane import Lane
from workbench.engine.lane_values import Change, Flight, KeyState
from workbench.engine.window import Window
from workbench.providers.base import ProviderSpec

LaneName = tuple[str, str, str, str]
"""Provider, base URL, account, model family."""


class LaneBoard:
    def __init__(
        self,
        keys: Callable[[ProviderSpec], tuple[Key, ...]],
        make_window: Callable[[ProviderSpec], Window],
        rng: Random,
        record: Callable[[Change], None],
        prepare: Callable[[LaneName, Lane], None] = lambda name, lane: None,
    ) -> None:
        """`prepare` is called with every new lane before anything is sent over it."""
        self._keys = keys
        self._prepare = prepare
        self._make_window = make_window
        self._rng = rng
        self._record = record
        self._states: dict[tuple[str, str], KeyState] = {}
        self._lanes: dict[LaneName, Lane] = {}
        self._absorbed: dict[Lane, Lane] = {}
        self._own_names: dict[Lane, str] = {}

    def lanes_for(self, spec: ProviderSpec, base_url: str, family: str) -> list[Lane]:
        """The lanes over which a request for this family may go. Raises MissingKey if there is no key for them."""
        keys = self._keys(spec)
        if not keys and spec.needs_key:
            raise MissingKey(spec.title or spec.name, spec.key_variables)
        accounts: dict[str, list[KeyState]] = {}
        for key in keys or (None,):
            account = "" if key is None else f"shared:{key.account}" if key.account else key.fingerprint
            accounts.setdefault(account, []).append(self._state(spec, key))
        lanes: list[Lane] = []
        for account, states in accounts.items():
            lane = self._lane((spec.name, base_url, account, family), spec, states)
            if lane not in lanes:
                lanes.append(lane)
        return lanes

    def _state(self, spec: ProviderSpec, key: Key | None) -> KeyState:
        name = (spec.name, key.fingerprint if key is not None else "")
        if name not in self._states:
            self._states[name] = KeyState(key)
        return self._states[name]

    def _lane(self, name: LaneName, spec: ProviderSpec, states: Sequence[KeyState]) -> Lane:
        lane = self._lanes.get(name)
        if lane is None:
            label = " + ".join(state.key.alias if state.key else spec.name for state in states)
            lane = Lane(f"{label} · {name[3]}", states, self._make_window(spec), self._rng, self._record)
            self._lanes[name] = lane
            self._prepare(name, lane)
        lane = self.current(lane)
        lane.keys.extend(state for state in states if state not in lane.keys)
        return lane

    def __iter__(self) -> Iterator[tuple[LaneName, Lane]]:
        """Lanes in use, each once."""
        # A copy, because other threads may look on while lanes come and go.
        return ((name, lane) for name, lane in tuple(self._lanes.items()) if lane not in self._absorbed)

    def key_states(self) -> Iterator[tuple[str, KeyState]]:
        """Provider and state of every key seen so far."""
        return ((provider, state) for (provider, _), state in tuple(self._states.items()))

    def named(self, name: str) -> Lane:
        """A lane by the name that people see. Raises KeyError."""
        for _, lane in self:
            if lane.name == name:
                return lane
        raise KeyError(
            f"there is no lane {name!r}; there are: {', '.join(lane.name for _, lane in self) or 'none yet'}"
        )

    def retire(self, state: KeyState, lane: Lane, error: ProviderError | None, now_s: float) -> None:
        """Stop using a key for this run. A spent quota is the account's, so it takes the account's other keys along."""
        why = error.title if error is not None else "rejected"
        states = lane.keys if isinstance(error, QuotaSpent) else [state]
        for gone in states:
            if not gone.retired:
                gone.retired = why
                gone.error = error
                self._record(Change(now_s, lane.name, "key", None, None, f"{gone.label} retired: {why}"))

    def revive(self, alias: str, now_s: float) -> None:
        """Use a retired key again, because a person says so. Raises KeyError for an alias that nobody has."""
        for _, state in self.key_states():
            if state.key is not None and state.key.alias == alias:
                state.retired, state.error = "", None
                self._record(Change(now_s, alias, "key", None, None, "back in use"))
                return
        raise KeyError(f"there is no key {alias!r}")

    def merge(self, lanes: Sequence[Lane], why: str, now_s: float) -> Lane:
        """From now on these are one lane: the first, under the names of all."""
        into, *others = lanes
        name = _merged_name([lane.name for lane in lanes])
        why = f"{name}: one limit, {why}"
        for other in others:
            _absorb(into, other)
            self._absorbed[other] = into
        self._record(Change(now_s, name, "lane", len(lanes), 1, why))
        self._own_names.setdefault(into, into.name)
        into.name = name
        return into

    def split(self, lane: Lane, why: str, now_s: float) -> list[Lane]:
        """Undo every merge of this lane; returns all lanes that it is now."""
        lanes = [lane, *_release(lane)]
        for released in lanes[1:]:
            del self._absorbed[released]
        self._record(Change(now_s, lane.name, "lane", 1, len(lanes), f"{lane.name}: taken apart, {why}"))
        lane.name = self._own_names.pop(lane)
        return lanes

    def current(self, lane: Lane) -> Lane:
        """The lane that took this one over, or itself."""
        while lane in self._absorbed:
            lane = self._absorbed[lane]
        return lane


def nothing_usable(spec: ProviderSpec, lanes: Sequence[Lane]) -> WorkbenchError:
    """The error for requests that no key is left for. It names every key, and is of the class of the last one's end."""
    states = list({id(state): state for lane in lanes for state in lane.keys}.values())
    if not states:
        return MissingKey(spec.title or spec.name, spec.key_variables)
    last = states[-1]
    kind = QuotaSpent if isinstance(last.error, QuotaSpent) else KeyRejected
    said = last.error if isinstance(last.error, ProviderError) else None
    if len(states) == 1 and said is not None:
        message = f"{last.label} is left out now. {said.message}"
    else:
        named = ", ".join(f"{state.label} ({state.retired})" for state in states)
        message = f"No usable key is left for {spec.title or spec.name}: {named}.{f' {said.message}' if said else ''}"
    return kind(
        message,
        hint="Replace the key or top up its account, then try again.",
        provider=spec.name,
        key_alias=last.key.alias if last.key is not None else None,
        # What the provider said about the last one, for whoever has to ask it why.
        status=said.status if said else None,
        code=said.code if said else "",
        request_id=said.request_id if said else None,
    )


def _merged_name(names: Sequence[str]) -> str:
    """`openai#1 + openai#2 · gpt-5.4` for two keys, `openai#1 · gpt-5.4, gpt-5.4-mini` for two models."""
    parts = [name.partition(" · ") for name in names]
    keys = " + ".join(dict.fromkeys(keys for keys, _, _ in parts))
    families = ", ".join(dict.fromkeys(family for _, _, family in parts))
    return f"{keys} · {families}"


def _absorb(lane: Lane, other: Lane) -> None:
    """Take over another lane that turned out to be the same account, with its calls in flight."""
    lane.parts.append(other)
    lane.keys.extend(key for key in other.keys if key not in lane.keys)
    _move_flights(other, lane, other.flights)
    lane.pause_until_s = max(lane.pause_until_s, other.pause_until_s)
    for kind, bucket in lane.buckets.items():
        bucket.evidence.part_ways()
        if bucket.rate is not None and other.buckets[kind].rate is not None:
            bucket.level = min(bucket.level, other.buckets[kind].level)


def _release(lane: Lane) -> list[Lane]:
    """Undo every `_absorb`: the lanes that were taken over, with the calls in flight that use their keys."""
    released, lane.parts = lane.parts, []
    theirs = [key for other in released for key in other.keys]
    # Two models with one key have all keys in common: then nothing moves.
    lane.keys = [key for key in lane.keys if key not in theirs] or lane.keys
    for other in released:
        gone = [flight for flight in lane.flights if flight.key not in lane.keys and flight.key in other.keys]
        _move_flights(lane, other, gone)
    for bucket in lane.buckets.values():
        bucket.evidence.part_ways()
    return released


def _move_flights(source: Lane, target: Lane, flights: Iterable[Flight]) -> None:
    for flight in list(flights):
        source.disown(flight)
        target.own(flight)
        # What was written down when it was sent is from the other lane's books.
        flight.lane, flight.moved, flight.marks, flight.epoch = target, True, {}, -1
