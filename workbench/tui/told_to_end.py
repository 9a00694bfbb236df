"""Being ended from outside: `kill`, a shutdown, a terminal whose window is closed."""

from __future__ import annotations

import asyncio
import signal
from typing import Any, Final

from textual.app import App

TOLD_BY: Final = (signal.SIGTERM, signal.SIGHUP)


def leave_when_told(app: App[Any]) -> None:
    """End as if the person had left: what has been answered goes into the history, and the terminal is given back.

    Told a second time, the program ends at once. Belongs to the main thread's loop, for as long as that runs.
    """
    loop = asyncio.get_running_loop()

    def told(number: int) -> None:
        for each in TOLD_BY:
            loop.remove_signal_handler(each)
        app.exit(return_code=128 + number)

    for number in TOLD_BY:
        loop.add_signal_handler(number, told, number)
