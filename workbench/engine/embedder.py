"""Embeds texts over one engine: each request that it takes goes through the pipeline, shared with nobody."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from workbench.core.clock import Clock
from workbench.core.types import Result
from workbench.engine.embedding import EmbeddingRequest, Embeddings, Vector, embed_texts
from workbench.engine.intake import Intake, result_of
from workbench.engine.open_parts import OpenParts
from workbench.engine.router import Router, Target
from workbench.engine.services import Order


class Embedder:
    def __init__(
        self, router: Router, intake: Intake, clock: Clock, find_keys: Callable[[Target], Awaitable[None]]
    ) -> None:
        self._router = router
        self._intake = intake
        self._clock = clock
        self._find_keys = find_keys

    async def embed(self, parts: OpenParts, request: EmbeddingRequest) -> Embeddings:
        """See `Engine.embed`."""
        # Vectors of two models cannot be compared: what follows in a chain would spoil rather than save the call.
        target = self._router.route(request.model)[0]

        async def ask(texts: Sequence[str]) -> tuple[tuple[Vector, ...], Result]:
            await self._find_keys(target)
            wire = await parts.wires.embedding_wire(target, texts, request.dimensions)
            now_ns = self._clock.monotonic_ns()
            order = Order(request.as_request(texts), (target,), (), now_ns, stream=False, adapter=wire)
            result = await result_of(self._intake.pursue(parts.services, order))
            return wire.vectors, result

        return await embed_texts(request, target, parts.services.cache, ask)
