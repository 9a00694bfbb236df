"""What a person can do about an answer that did not end well: a few numbered fixes, each one key away.

Pure: `remedies_for(turn)` reads what happened, `Remedy.apply` says how the target changes. Only fixes that can work are
offered; the first is the likeliest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from workbench.core.errors import (
    ContextOverflow,
    KeyRejected,
    MissingKey,
    ModelNotFound,
    QuotaSpent,
    RequestTooLarge,
    UnknownModel,
    UnsupportedParameter,
    WorkbenchError,
)
from workbench.core.types import Params
from workbench.session.lane import Turn
from workbench.session.lane_state import LaneState
from workbench.session.targets import Target

FALLBACK_MAX_TOKENS = 4096
"""Where to go when an answer hit a limit that nobody here has set."""


class Action(StrEnum):
    RETRY = "retry"
    RAISE_MAX_TOKENS = "raise max_tokens"
    DROP_PARAMETER = "drop parameter"
    CHOOSE_MODEL = "choose another model"
    ADD_KEY = "add a key"
    START_OVER = "new conversation"
    DEMO = "watch the demo"


@dataclass(frozen=True, slots=True)
class Remedy:
    action: Action
    label: str
    """What the key does, as a few words for a button."""
    params: Params | None = None
    """The target's parameters before the question is asked again; None leaves them."""

    @property
    def asks_again(self) -> bool:
        return self.action in (Action.RETRY, Action.RAISE_MAX_TOKENS, Action.DROP_PARAMETER)


_RETRY = Remedy(Action.RETRY, "retry")
_CHOOSE = Remedy(Action.CHOOSE_MODEL, "choose another model")


def remedies_for(turn: Turn, target: Target) -> tuple[Remedy, ...]:
    """At most three, best first; empty for an answer that needs none."""
    match turn.state:
        case LaneState.TRUNCATED:
            raised = _raise_max_tokens(turn, target)
            label = f"ask again with max_tokens {raised:,}"
            return (Remedy(Action.RAISE_MAX_TOKENS, label, replace(target.params, max_tokens=raised)),)
        case LaneState.CANCELLED:
            return (Remedy(Action.RETRY, "ask again"),)
        case LaneState.REFUSED | LaneState.FILTERED:
            return (Remedy(Action.RETRY, "ask again"), _CHOOSE)
        case LaneState.TIMED_OUT | LaneState.INCOMPLETE:
            return (_RETRY, _CHOOSE)
        case LaneState.FAILED:
            return _for_error(turn.error, target)
        case _:
            return ()


def _for_error(error: WorkbenchError | None, target: Target) -> tuple[Remedy, ...]:
    match error:
        case MissingKey():
            return (Remedy(Action.ADD_KEY, "paste a key"), _CHOOSE, Remedy(Action.DEMO, "watch the demo"))
        case KeyRejected() | QuotaSpent():
            return (Remedy(Action.ADD_KEY, "paste another key"), _RETRY, _CHOOSE)
        case UnsupportedParameter(parameter=parameter) if (params := _without(target.params, parameter)) is not None:
            return (Remedy(Action.DROP_PARAMETER, f"ask again without {parameter}", params), _CHOOSE)
        case UnknownModel() | ModelNotFound():
            return (_CHOOSE, _RETRY)
        case ContextOverflow() | RequestTooLarge():
            return (Remedy(Action.START_OVER, "start a new conversation"), _CHOOSE)
        case _:
            return (_RETRY, _CHOOSE)


def _raise_max_tokens(turn: Turn, target: Target) -> int:
    written = turn.meter.output_tokens or 0
    return max(FALLBACK_MAX_TOKENS if target.params.max_tokens is None else 2 * target.params.max_tokens, 2 * written)


def _without(params: Params, parameter: str) -> Params | None:
    """The parameters less one, whether it is known here or passed through; None if it was never set."""
    if parameter in ("max_completion_tokens", "max_output_tokens"):
        parameter = "max_tokens"
    if parameter in params.as_dict():
        if any(name == parameter for name, _ in params.extra):
            return replace(params, extra=tuple(pair for pair in params.extra if pair[0] != parameter))
        defaults = Params()
        return replace(params, **{parameter: getattr(defaults, parameter)})
    return None
