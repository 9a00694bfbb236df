from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workbench.providers.lean_imports import import_httpx, import_openai, names_on_demand, names_passed_on

LEAN = "from workbench.providers.lean_imports import import_openai; import_openai(); "


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package that passes two names on, with another one of that kind in it."""
    root = tmp_path / "shop"
    (root / "fruit").mkdir(parents=True)
    (root / "__init__.py").write_text(
        '"""A shop."""\nfrom __future__ import annotations\n'
        "from .bread import Loaf as Loaf\nfrom .fruit.apple import Apple as Fruit\n"
    )
    (root / "bread.py").write_text("class Loaf: ...\n")
    (root / "fruit" / "__init__.py").write_text("from .apple import Apple as Apple\n")
    (root / "fruit" / "apple.py").write_text("class Apple: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "shop"
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]


def on_demand(package: str) -> Any:
    with names_on_demand(package):
        return importlib.import_module(package)


def run(code: str) -> Any:
    """What a process of its own prints as JSON."""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(said.stdout)


def test_a_name_is_imported_when_it_is_looked_up(shop: str) -> None:
    package = on_demand(shop)

    assert "shop.bread" not in sys.modules
    assert package.Loaf is importlib.import_module("shop.bread").Loaf
    assert package.Fruit.__module__ == "shop.fruit.apple"


def test_importing_from_a_package_below_imports_that_alone(shop: str) -> None:
    with names_on_demand(shop):
        from shop.fruit import Apple  # type: ignore[import-not-found]  # made by the fixture

    assert Apple.__name__ == "Apple"
    assert "shop.bread" not in sys.modules


def test_modules_below_are_found_on_their_package(shop: str) -> None:
    assert on_demand(shop).fruit.apple.Apple.__name__ == "Apple"


def test_a_name_that_is_not_there_is_missed_as_usual(shop: str) -> None:
    with pytest.raises(AttributeError, match="module 'shop' has no attribute 'Cheese'"):
        _ = on_demand(shop).Cheese


def test_such_a_package_says_what_it_has_and_where_it_comes_from(shop: str) -> None:
    package = on_demand(shop)

    assert {"Loaf", "Fruit"} <= set(dir(package))
    assert package.__all__ == ["Fruit", "Loaf"]
    assert "A shop." in package.__spec__.loader.get_source("shop")


@pytest.mark.parametrize(
    "source",
    [
        "from .bread import Loaf\nLoaf.__module__ = 'shop'",
        "from . import bread",
        "from .bread import *",
        "from .bread import bread",
        "import os",
    ],
    ids=["does something", "a module", "everything", "a name that hides its module", "from elsewhere"],
)
def test_a_package_that_does_more_than_pass_names_on_is_imported_as_usual(source: str) -> None:
    assert names_passed_on(source, "shop") is None


def test_nothing_is_looked_up_on_demand_afterwards(shop: str) -> None:
    before = list(sys.meta_path)

    on_demand(shop)

    assert sys.meta_path == before


def test_the_sdk_comes_without_most_of_its_types_and_without_a_command_line() -> None:
    loaded = run(LEAN + "import json, sys; print(json.dumps(sorted(sys.modules)))")

    assert len([name for name in loaded if name.startswith("openai.types.")]) < 200
    assert not {"httpx._main", "rich", "pygments"} & set(loaded)


def test_every_type_of_the_sdk_is_where_it_always_was() -> None:
    look = (
        "import json, openai; from openai.types import beta, chat, responses, shared; "
        "packages = openai.types, beta, chat, responses, shared; "
        "print(json.dumps({f'{package.__name__}.{name}': repr(getattr(package, name)) for package in packages "
        "for name in dir(package) if name[0].isupper()}))"
    )

    usual = run(look)

    assert len(usual) > 500
    assert run(LEAN + look) == usual


def test_what_was_imported_before_is_left_as_it_is() -> None:
    import httpx
    import openai

    before = vars(openai.types).copy(), httpx.main
    import_httpx()
    import_openai()

    assert (vars(openai.types), httpx.main) == before
