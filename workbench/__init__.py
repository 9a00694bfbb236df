"""llm-workbench: run and compare language models from a terminal, a shell or Python.

Names are resolved on first use (PEP 562), so that `import workbench` costs a few milliseconds and loads neither an
SDK nor a terminal library. A test proves it in a subprocess.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from workbench.core.types import Message, Params, Request, Result, Usage
    from workbench.engine.engine import Engine
    from workbench.llm import LLM
    from workbench.multi import amulti_chat, amulti_generate, multi_chat, multi_generate

_HOMES = {
    "LLM": "workbench.llm",
    "amulti_chat": "workbench.multi",
    "amulti_generate": "workbench.multi",
    "multi_chat": "workbench.multi",
    "multi_generate": "workbench.multi",
    "Engine": "workbench.engine.engine",
    "Message": "workbench.core.types",
    "Params": "workbench.core.types",
    "Request": "workbench.core.types",
    "Result": "workbench.core.types",
    "Usage": "workbench.core.types",
}

__all__ = [
    "LLM",
    "Engine",
    "Message",
    "Params",
    "Request",
    "Result",
    "Usage",
    "__version__",
    "amulti_chat",
    "amulti_generate",
    "multi_chat",
    "multi_generate",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
