"""`/_sim/…`: looking into a running simulator and changing what it does, from a test or a shell.

GET  /_sim/requests?limit=&provider=&model=&key=   what was asked, newest last
GET  /_sim/counters?provider=&model=&key=          requests by status and ending, in flight, its peak, connections
GET  /_sim/state                                   profile, seed, time scale, faults in force
POST /_sim/quota    {provider, model, key, …QuotaSpec}     limits from now on, globs allowed
POST /_sim/faults   {rules: [{faults, provider, model, key, count, probability, skip, operation}]}   replaces all rules
POST /_sim/settings {time_scale, coalesce_s, rate_headers}
POST /_sim/batches  {skip_s, …BatchPace}                   time that passes for batches; the pace of new ones
POST /_sim/reset                                   counters, quotas, caches and faults as at the start
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from fnmatch import fnmatchcase
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from workbench.simulator.batch_book import BatchPace
from workbench.simulator.faults import ANSWER, BadFault, FaultRule, parse
from workbench.simulator.journal import Tally
from workbench.simulator.quota import QuotaSpec
from workbench.simulator.simulation import Simulation

PREFIX = "/_sim"


class QuotaChange(msgspec.Struct, forbid_unknown_fields=True):
    spec: QuotaSpec
    provider: str = "*"
    model: str = "*"
    key: str = "*"


class RuleBody(msgspec.Struct, forbid_unknown_fields=True):
    faults: str
    provider: str = "*"
    model: str = "*"
    key: str = "*"
    count: int | None = None
    probability: float = 1.0
    skip: int = 0
    operation: str = ANSWER

    def rule(self) -> FaultRule:
        place = (self.provider, self.model, self.key)
        return FaultRule(parse(self.faults), *place, self.count, self.probability, self.skip, self.operation)


class RulesBody(msgspec.Struct, forbid_unknown_fields=True):
    rules: list[RuleBody]


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    time_scale: float | None = None
    coalesce_s: float | None = None
    rate_headers: bool | None = None


class Admin:
    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def mount(self) -> BaseRoute:
        return Mount(
            PREFIX,
            routes=[
                Route("/requests", self.requests),
                Route("/counters", self.counters),
                Route("/state", self.state),
                Route("/quota", self.quota, methods=["POST"]),
                Route("/faults", self.faults, methods=["POST"]),
                Route("/settings", self.settings, methods=["POST"]),
                Route("/batches", self.batches, methods=["POST"]),
                Route("/reset", self.reset, methods=["POST"]),
            ],
        )

    async def requests(self, request: Request) -> Response:
        chosen = [entry for entry in self._simulation.journal.entries() if _matches(request, asdict_shallow(entry))]
        limit = int(request.query_params.get("limit", len(chosen)))
        return _json({"requests": [asdict(entry) for entry in chosen[max(0, len(chosen) - limit) :]]})

    async def counters(self, request: Request) -> Response:
        journal = self._simulation.journal
        rows = [
            {"provider": provider, "model": model, "key": key, **_tally(tally)}
            for (provider, model, key), tally in sorted(journal.tallies().items())
        ]
        return _json({"total": _tally(journal.tally()), "rows": [row for row in rows if _matches(request, row)]})

    async def state(self, request: Request) -> Response:
        simulation = self._simulation
        return _json(
            {
                "profile": simulation.profile.name,
                "seed": simulation.seed,
                "time_scale": simulation.time_scale,
                "coalesce_s": simulation.coalesce_s,
                "rate_headers": simulation.rate_headers,
                "faults": [
                    {
                        "faults": ",".join(fault.spec() for fault in rule.faults),
                        "provider": rule.provider,
                        "model": rule.model,
                        "key": rule.key,
                        "count": rule.count,
                        "probability": rule.probability,
                    }
                    for rule in simulation.faults.rules
                ],
            }
        )

    async def quota(self, request: Request) -> Response:
        simulation = self._simulation
        try:
            change = _quota_change(msgspec.json.decode(await request.body()))
        except (msgspec.DecodeError, ValueError) as exc:
            return _json({"error": str(exc)}, 400)
        simulation.accounts.set_spec(change.provider, change.model, change.key, change.spec, simulation.now_s())
        return _json({"quota": asdict(change.spec)})

    async def faults(self, request: Request) -> Response:
        try:
            body = msgspec.json.decode(await request.body(), type=RulesBody)
            rules = [rule.rule() for rule in body.rules]
        except (msgspec.DecodeError, BadFault) as exc:
            return _json({"error": str(exc)}, 400)
        self._simulation.faults.set_rules(rules)
        return _json({"rules": len(rules)})

    async def settings(self, request: Request) -> Response:
        try:
            body = msgspec.json.decode(await request.body(), type=Settings)
        except msgspec.DecodeError as exc:
            return _json({"error": str(exc)}, 400)
        simulation = self._simulation
        if body.time_scale is not None:
            simulation.time_scale = body.time_scale
        if body.coalesce_s is not None:
            simulation.coalesce_s = body.coalesce_s
        if body.rate_headers is not None:
            simulation.rate_headers = body.rate_headers
        return await self.state(request)

    async def batches(self, request: Request) -> Response:
        book = self._simulation.batches
        try:
            body = msgspec.json.decode(await request.body(), type=dict[str, Any])
            skip_s = msgspec.convert(body.pop("skip_s", 0.0), float)
            if unknown := set(body) - {*BatchPace.__dataclass_fields__}:
                raise ValueError(f"batches have no {', '.join(sorted(unknown))}")  # noqa: TRY301 - answered below
            book.pace = msgspec.convert({**asdict(book.pace), **body}, BatchPace)
        except (msgspec.DecodeError, msgspec.ValidationError, ValueError) as exc:
            return _json({"error": str(exc)}, 400)
        book.skip(skip_s)
        return _json({"pace": asdict(book.pace)})

    async def reset(self, request: Request) -> Response:
        self._simulation.reset()
        return _json({})


def _quota_change(body: Any) -> QuotaChange:
    """Scope and limits may stand side by side, as one flat object."""
    if not isinstance(body, dict):
        raise ValueError("expected an object")  # noqa: TRY004 - the caller answers 400 to ValueError
    scope = {name: body.pop(name) for name in ("provider", "model", "key") if name in body}
    fields = {*QuotaSpec.__dataclass_fields__}
    # `model` says which model here, and in QuotaSpec how the server counts: that one is spelled server_model.
    if "server_model" in body:
        body["model"] = body.pop("server_model")
    unknown = set(body) - fields
    if unknown:
        raise ValueError(f"no such limit: {', '.join(sorted(unknown))}; there are: {', '.join(sorted(fields))}")
    return QuotaChange(msgspec.convert(body, QuotaSpec), **scope)


def asdict_shallow(entry: Any) -> dict[str, Any]:
    return {"provider": entry.provider, "model": entry.model, "key": entry.key}


def _matches(request: Request, row: Mapping[str, Any]) -> bool:
    return all(
        fnmatchcase(str(row[name]), request.query_params[name])
        for name in ("provider", "model", "key")
        if name in request.query_params
    )


def _tally(tally: Tally) -> dict[str, Any]:
    return asdict(tally)


def _json(body: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json")
