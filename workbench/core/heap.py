"""What the garbage collector need not look at, and when it had better not."""

from __future__ import annotations

import gc

_is_resting = False


def rest_collector() -> None:
    """No collections until `wake_collector`: for a program to call when it starts.

    What is imported and styled on the way to the first frame is all kept, so looking for garbage in it is time lost: a
    tenth of the way, and one full collection mostly falls into the first frame itself.
    """
    global _is_resting
    if gc.isenabled():
        gc.disable()
        _is_resting = True


def wake_collector() -> None:
    """Collections again, if it was `rest_collector` that ended them."""
    global _is_resting
    if _is_resting:
        gc.enable()
        _is_resting = False


def settle_heap() -> None:
    """Take what exists by now out of the collector's sight: for a program to call when its starting is over.

    Modules, style sheets and SDKs live as long as the program does, but every full collection looks at all of them: 90
    to 180 ms in which the loop stands still and stamps are late; without them it takes a few. Not for the library,
    whose process is somebody else's.
    """
    gc.freeze()
