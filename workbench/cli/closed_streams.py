"""Standard streams that the caller has closed (`>&-`, a daemon, some schedulers), of which Python makes None."""

from __future__ import annotations

import os
import sys


def stand_in_for_closed_streams() -> None:
    """Nowhere takes their places. Left alone, the next file that is opened would get the number of a closed one, and
    whatever a library prints would end up in it."""
    for fd, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is not None:
            continue
        nowhere = os.open(os.devnull, os.O_RDWR)
        if nowhere != fd:
            os.dup2(nowhere, fd)
            os.close(nowhere)
        stream = open(fd, mode, encoding="utf-8", closefd=False)  # noqa: SIM115  # as long as the process
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
