"""The demo shows what answers cost, so every model that it asks has a price, but for those that cost nothing to ask."""

from __future__ import annotations

import os

import pytest

from workbench.core.settings import Settings
from workbench.demo import DEMO_LINE_UP, SLOW_DAYS
from workbench.session.model_directory import ModelDirectory

MODELS = sorted({model for models in (DEMO_LINE_UP, *SLOW_DAYS.values()) for model in models})
PAID = [model for model in MODELS if not model.startswith("local/")]


@pytest.fixture(scope="module")
def directory() -> ModelDirectory:
    return ModelDirectory.load(Settings(), os.environ)


@pytest.mark.parametrize("model", PAID)
def test_every_model_of_the_demo_has_a_price(directory: ModelDirectory, model: str) -> None:
    entry = directory.entry(model)

    assert entry.input_usd is not None
    assert entry.price != "—"
