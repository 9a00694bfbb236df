"""What the garbage collector need not look at."""

from __future__ import annotations

import gc


def settle_heap() -> None:
    """Take what exists by now out of the collector's sight: for a program to call when its starting is over.

    Modules, style sheets and SDKs live as long as the program does, but every full collection looks at all of them: 90
    to 180 ms in which the loop stands still and stamps are late; without them it takes a few. Not for the library,
    whose process is somebody else's.
    """
    gc.freeze()
