"""When the garbage collector rests: the program's own choice, never against somebody else's."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from workbench.core.heap import rest_collector, wake_collector


@pytest.fixture(autouse=True)
def _collecting_again() -> Iterator[None]:
    yield
    wake_collector()
    gc.enable()


def test_the_collector_rests_until_it_is_woken() -> None:
    rest_collector()
    rested = gc.isenabled()
    wake_collector()

    assert not rested
    assert gc.isenabled()


def test_a_collector_that_somebody_else_switched_off_stays_off() -> None:
    gc.disable()

    rest_collector()
    wake_collector()

    assert not gc.isenabled()
