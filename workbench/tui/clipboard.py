"""Copying: through the desktop's own tool where there is one here, through the terminal (OSC 52) everywhere else.

Over ssh the desktop's tool would fill the clipboard of the wrong machine, so there only the terminal is asked. It does
not say whether it obeyed; `copy` therefore reports which way was taken.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Mapping

TIMEOUT_S = 2.0


def desktop_tool(environ: Mapping[str, str], platform: str = sys.platform) -> tuple[str, ...] | None:
    """The command that takes text on its standard input and puts it on the desktop's clipboard; None without one."""
    if "SSH_CONNECTION" in environ or "SSH_TTY" in environ:
        return None
    candidates: list[tuple[str, ...]] = []
    if platform == "darwin":
        candidates = [("pbcopy",)]
    elif platform == "win32" or "WSL_DISTRO_NAME" in environ:
        candidates = [("clip.exe",), ("clip",)]
    else:
        if "WAYLAND_DISPLAY" in environ:
            candidates += [("wl-copy",)]
        if "DISPLAY" in environ:
            candidates += [("xclip", "-selection", "clipboard"), ("xsel", "--clipboard", "--input")]
    return next((command for command in candidates if shutil.which(command[0])), None)


async def copy_with(command: tuple[str, ...], text: str) -> bool:
    """Run a desktop tool. False if it failed or did not end in time: some wait for ever without a display."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return False
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await process.communicate(text.encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        return False
    return process.returncode == 0
