"""The other policies behind the engine's seam: they back off there as they do in virtual time."""

from __future__ import annotations

import pytest
from limiter_virtual_time import SPEC, in_virtual_time, lease_of, queued, ticket

from workbench.bench.limits_live_peer import PeerAdmission
from workbench.bench.limits_policies import PEERS, CubicRate, Fixed, Windowed
from workbench.core.errors import EngineClosed, RateLimited
from workbench.engine.admission import Outcome
from workbench.engine.keyring import Keyring

KEYS = Keyring.from_sources(SPEC, {"ACME_KEYS": "one,two"}).keys


def refuse(lease, clock, retry_after_s=None):
    lease.settle(Outcome.REFUSED, clock.monotonic_ns(), error=RateLimited("429", retry_after_s=retry_after_s))


def test_a_place_is_kept_while_its_request_backs_off_for_as_long_as_it_was_told():
    async def scenario(clock):
        peer = PeerAdmission(Fixed(1, [0, 1]), KEYS, clock)
        refuse(await lease_of(peer.enqueue(ticket())), clock, retry_after_s=3.0)
        refused_ns = clock.monotonic_ns()
        again, other = peer.enqueue(ticket(attempt=2)), peer.enqueue(ticket())
        await queued(other)

        lease = await lease_of(again)

        waited_s = (clock.monotonic_ns() - refused_ns) / 1e9
        lease.settle(Outcome.SUCCESS, clock.monotonic_ns())
        await lease_of(other)
        return waited_s

    assert in_virtual_time(scenario) == pytest.approx(3.0, abs=0.01)


def test_who_gives_his_place_away_lets_others_go_meanwhile():
    async def scenario(clock):
        policy = CubicRate([0, 1])
        policy.window = lambda: 1  # type: ignore[method-assign]  # one place is easier to watch than 64
        peer = PeerAdmission(policy, KEYS, clock)
        lease = await lease_of(peer.enqueue(ticket()))
        other = peer.enqueue(ticket())
        clock.advance(1.0)

        refuse(lease, clock)

        return await lease_of(other)

    assert in_virtual_time(scenario).key == "one"


def test_after_its_last_try_a_request_is_lost_and_its_place_free():
    async def scenario(clock):
        peer = PeerAdmission(Fixed(1, [0, 1]), KEYS, clock)
        for attempt in range(1, 4):
            refuse(await lease_of(peer.enqueue(ticket(attempt=attempt))), clock)
        with pytest.raises(RateLimited, match="Refused 3 times"):
            await lease_of(peer.enqueue(ticket(attempt=4)))
        await lease_of(peer.enqueue(ticket()))

    in_virtual_time(scenario)


def test_cancelling_gives_back_a_place_that_was_kept_and_a_lease_that_was_not_taken():
    async def scenario(clock):
        peer = PeerAdmission(Fixed(1, [0, 1]), KEYS, clock)
        refuse(await lease_of(peer.enqueue(ticket())), clock)
        backing_off = peer.enqueue(ticket(attempt=2))
        backing_off.cancel()
        backing_off.cancel()
        granted = peer.enqueue(ticket())
        granted.cancel()
        await lease_of(peer.enqueue(ticket()))

    in_virtual_time(scenario)


def test_closing_fails_those_who_wait():
    async def scenario(clock):
        peer = PeerAdmission(Fixed(1, [0, 1]), KEYS, clock)
        await lease_of(peer.enqueue(ticket()))
        waiting = peer.enqueue(ticket())
        await peer.aclose()
        with pytest.raises(EngineClosed):
            await lease_of(waiting)

    in_virtual_time(scenario)


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_peer_can_stand_behind_the_seam(peer):
    assert isinstance(peer.make([0], 1), Windowed)
