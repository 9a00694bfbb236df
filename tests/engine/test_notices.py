"""What a person is told once."""

from __future__ import annotations

import asyncio

from workbench.core.clock import ManualClock
from workbench.engine.notices import Notice, NoticeBoard


def test_a_topic_is_told_once_until_it_is_forgotten() -> None:
    heard: list[Notice] = []
    board = NoticeBoard(ManualClock(), heard.append)

    board.tell("cache", "The cache is locked.", "Nothing is kept.")
    board.tell("cache", "The cache is locked, again.")
    board.forget("cache")
    board.tell("cache", "It came back.")

    assert [str(notice) for notice in heard] == ["The cache is locked. Nothing is kept.", "It came back."]
    assert [notice.text for notice in board.all()] == ["It came back."]


async def test_a_thread_s_notice_is_heard_on_the_loop() -> None:
    heard: asyncio.Queue[tuple[Notice, asyncio.AbstractEventLoop]] = asyncio.Queue()
    board = NoticeBoard(ManualClock(), lambda notice: heard.put_nowait((notice, asyncio.get_running_loop())))
    board.bind(asyncio.get_running_loop())

    await asyncio.to_thread(board.tell, "cache", "The disk is full.")

    notice, loop = await heard.get()
    assert notice.topic == "cache"
    assert loop is asyncio.get_running_loop()


async def test_a_loop_that_is_gone_does_not_swallow_a_notice() -> None:
    heard: list[Notice] = []
    board = NoticeBoard(ManualClock(), heard.append)
    gone = asyncio.new_event_loop()
    board.bind(gone)
    gone.close()

    board.tell("late", "Still heard.")

    assert [notice.text for notice in heard] == ["Still heard."]
