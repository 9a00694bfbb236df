"""httpx and openai, imported without what a client that only sends never uses: 20 MB and half of the time.

httpx brings its command line along, and with it click, rich and pygments. openai brings a class for everything that
its API can say, 750 modules of them; we send plain JSON and read bytes. Everything stays where it is for whoever asks
for it: `openai.types.Batch` is imported when it is looked up. What somebody else has imported before is left as it is.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import InspectLoader, Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, resolve_name
from types import ModuleType
from typing import Any

_COMMAND_LINE = "httpx._main"
_TYPES = "openai.types"


def import_httpx() -> None:
    """5 MB and 50 ms less than `import httpx`, after which its `main` says that its command line is not installed."""
    if "httpx" in sys.modules:
        return
    # None makes importing it fail, for which httpx is prepared: its command line is an extra of its own.
    sys.modules[_COMMAND_LINE] = None  # type: ignore[assignment]  # Python's own way of saying so
    try:
        importlib.import_module("httpx")
    finally:
        sys.modules.pop(_COMMAND_LINE, None)


def import_openai() -> None:
    """15 MB and 0.3 s less than `import openai`."""
    if "openai" in sys.modules:
        return
    import_httpx()
    with names_on_demand(_TYPES):
        importlib.import_module("openai")


@contextmanager
def names_on_demand(package: str) -> Iterator[None]:
    """Packages from this one down that are imported meanwhile get the names that they only pass on when asked."""
    finder = _Finder(package)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._package and not fullname.startswith(f"{self._package}."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.submodule_search_locations is not None and isinstance(spec.loader, InspectLoader):
            names = names_passed_on(spec.loader.get_source(fullname) or "", fullname)
            if names is not None:
                spec.loader = _OnDemand(spec.loader, names)
        return spec


class _OnDemand(Loader):
    """Instead of running a package's `__init__`, gives the package functions that know what is in it."""

    def __init__(self, usual: Loader, names: Mapping[str, tuple[str, str]]) -> None:
        self._usual = usual
        self._names = names

    def create_module(self, spec: ModuleSpec) -> None:
        """Python's own kind of module."""

    def exec_module(self, module: ModuleType) -> None:
        package, names = module.__name__, self._names

        def look_up(name: str) -> Any:
            if name in names:
                home, own_name = names[name]
                found = getattr(importlib.import_module(home), own_name)
                setattr(module, name, found)
                return found
            # Modules below it are there too, where its own imports would have put them.
            if not name.startswith("__") and find_spec(f"{package}.{name}"):
                return importlib.import_module(f"{package}.{name}")
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=module)

        # What asks the module about itself, for its source or its files, shall meet the usual loader.
        module.__loader__ = self._usual
        if module.__spec__ is not None:
            module.__spec__.loader = self._usual
        vars(module).update(__getattr__=look_up, __dir__=lambda: sorted({*vars(module), *names}), __all__=sorted(names))


def names_passed_on(source: str, package: str) -> dict[str, tuple[str, str]] | None:
    """Name → module and name there, for a package that does nothing but import from its own modules, else None."""
    names: dict[str, tuple[str, str]] = {}
    for statement in ast.parse(source).body:
        match statement:
            case ast.ImportFrom(module="__future__") | ast.Expr(value=ast.Constant()):
                continue
            case ast.ImportFrom(module=str(module), level=level) if level:
                home = resolve_name("." * level + module, package)
            case _:
                return None
        for alias in statement.names:
            name = alias.asname or alias.name
            # A module's own name on its package would hide what it is asked for under the same one.
            if name in ("*", module.partition(".")[0]):
                return None
            names[name] = home, alias.name
    return names
