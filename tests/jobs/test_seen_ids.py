from __future__ import annotations

import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.jobs.seen_ids import SeenIds


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=2), max_size=300))
def test_an_id_is_new_once(ids: list[str]) -> None:
    seen = SeenIds()

    new = [row_id for row_id in ids if seen.add(row_id)]

    assert new == list(dict.fromkeys(ids))
    assert len(seen) == len(new)


def test_all_of_many_are_remembered() -> None:
    ids = [f"r{number}" for number in range(20_000)]
    seen = SeenIds()

    assert all(seen.add(row_id) for row_id in ids)
    assert not any(seen.add(row_id) for row_id in ids)


def test_an_id_takes_little_however_long_it_is() -> None:
    tracemalloc.start()
    try:
        seen = SeenIds()
        for number in range(20_000):
            seen.add(f"{number:>200}")
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert size < 20_000 * 32
    assert len(seen) == 20_000
