"""How large a request will probably be, before anybody has counted its tokens."""

from __future__ import annotations

from typing import Final

from workbench.core.types import Request
from workbench.engine.admission import TokenCost

BYTES_PER_TOKEN: Final = 4
"""Of a prompt in UTF-8: right for English, and closer than characters for other scripts."""
TOKENS_PER_MESSAGE: Final = 4
"""For its role, and the marks around it."""
USUAL_OUTPUT: Final = 1_024
"""Tokens to reserve for an answer that nobody limited, until this model has shown how long its answers are."""


def estimate(request: Request, usual_output: float | None) -> TokenCost:
    """`usual_output` = tokens that the answers of this model usually have; None while that is unknown."""
    size = sum(len(message.text.encode("utf-8", "replace")) for message in request.messages)
    limit = request.params.max_tokens
    if limit is None:
        limit = USUAL_OUTPUT if usual_output is None else round(2 * usual_output)
    return TokenCost(size // BYTES_PER_TOKEN + TOKENS_PER_MESSAGE * len(request.messages), limit)
