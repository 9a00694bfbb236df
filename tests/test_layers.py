"""The layering, proved on the source and on a running interpreter rather than promised in a document."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import workbench

PACKAGE = Path(workbench.__file__).parent

# What each layer may import besides itself. Later lines stand higher.
MAY_IMPORT = {
    "core": set(),
    "providers": {"core"},
    "engine": {"core", "providers"},
    "store": {"core", "providers", "engine"},
    "jobs": {"core", "providers", "engine", "store"},
    "session": {"core", "providers", "engine", "store", "jobs"},
    "simulator": {"core"},
}
LIBRARY = {"core", "providers", "engine", "store", "jobs", "session"}
FACES = {
    "llm": LIBRARY,
    "tui": LIBRARY | {"simulator"},
    "bench": LIBRARY | {"simulator", "tui", "cli", "llm"},
    "cli": LIBRARY | {"simulator", "tui", "bench", "llm"},
}

# Modules of the package's own directory that belong to one face or to all of them.
TOP_MODULES = {
    "asking": "llm",
    "demo": "demo",
    "llm": "llm",
    "llm_batch": "llm",
    "llm_lists": "llm",
    "loop_thread": "llm",
    "multi": "llm",
    "progress": "llm",
}

# Each of these has one home; nobody else imports it, at any depth of a function.
HOMES = {
    "textual": {"tui", "bench", "cli"},  # the shell lists Textual's own themes
    "rich": {"tui", "bench"},
    "openai": {"providers", "bench"},
    "google": {"providers", "bench"},
    "litellm": {"providers", "bench"},
    "tiktoken": {"providers"},
    "httpx": {"providers", "bench"},
    "httpx_aiohttp": {"providers", "bench"},
    "aiohttp": {"providers", "bench"},
    "diskcache": {"engine"},
    "opentelemetry": {"engine"},
    "starlette": {"simulator"},
    "hypercorn": {"simulator"},
    "cryptography": {"simulator"},
    "click": {"cli", "bench"},
    "platformdirs": {"core"},
}


def layer_of(module: str) -> str:
    """`workbench.engine.retry` → `engine`; a module of the top directory → the face it belongs to."""
    parts = module.split(".")
    if len(parts) == 1:
        return "root"
    return TOP_MODULES.get(parts[1], parts[1])


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


NAMES = {name for name, _ in modules()}


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """(module, whether only for the type checker), wherever in the file the import stands."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_checker: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for_checker.update(id(inner) for statement in node.body for inner in ast.walk(statement))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in for_checker
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            for alias in node.names:
                # `from workbench import demo` imports a module, `from workbench import __version__` does not.
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in NAMES else str(node.module), id(node) in for_checker


def allowed(layer: str) -> set[str]:
    # The demo is a world made of a simulator and settings: whoever opens an engine may open it with that.
    faces = {name: may | {"demo"} for name, may in FACES.items()}
    every = MAY_IMPORT | faces | {"demo": {"core", "providers", "simulator"}}
    return every[layer] | {layer, "root"}


def test_no_layer_imports_a_higher_one() -> None:
    wrong = [
        f"{module} imports {imported}"
        for module, path in modules()
        if (layer := layer_of(module)) not in ("root", "__main__")
        for imported, for_checker in imports(path)
        if imported.startswith("workbench.") and not for_checker
        if layer_of(imported) not in allowed(layer)
    ]

    assert wrong == []


def test_every_package_from_outside_has_one_home() -> None:
    wrong = [
        f"{module} imports {imported}"
        for module, path in modules()
        for imported, _ in imports(path)
        if (home := HOMES.get(imported.split(".")[0])) is not None and layer_of(module) not in home
    ]

    assert wrong == []


def test_the_simulator_knows_nothing_of_what_it_judges() -> None:
    """Two independent writings of one wire format check each other; not even their types may be shared."""
    seen = {
        layer_of(imported)
        for module, path in modules()
        if layer_of(module) == "simulator"
        for imported, _ in imports(path)
        if imported.startswith("workbench.")
    }

    assert seen <= {"simulator", "core"}


HEAVY = (
    "textual",
    "rich",
    "openai",
    "google.genai",
    "litellm",
    "tiktoken",
    "httpx",
    "httpx2",
    "aiohttp",
    "diskcache",
    "hypercorn",
)


def loaded_after(code: str) -> set[str]:
    """Names of modules that an interpreter of its own has loaded after running `code`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import workbench",
        "import workbench.cli.entry",
        "from workbench import Engine",
        "import workbench.llm",
        "import workbench.session.comparison",
    ],
)
def test_importing_loads_no_sdk_and_no_screen(code: str) -> None:
    assert loaded_after(code).isdisjoint(HEAVY)


def test_importing_the_package_loads_only_itself() -> None:
    loaded = loaded_after("import workbench")

    assert {name for name in loaded if name.startswith("workbench")} == {"workbench"}


def test_every_public_name_can_be_had() -> None:
    for name in workbench.__all__:
        assert getattr(workbench, name) is not None


def test_the_simulator_runs_without_the_code_it_judges() -> None:
    loaded = loaded_after("import workbench.simulator.server")

    assert not {name for name in loaded if name.startswith(("workbench.providers", "workbench.engine"))}
