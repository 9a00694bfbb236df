from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from workbench.core.errors import ConfigError
from workbench.core.pricing import ModelFacts, Price, PriceTable, Rates, cost_usd, find_litellm_table, prefix_saving_usd
from workbench.core.settings import ProviderSettings, Settings
from workbench.core.types import Route, Usage

GPT = Route(spec="gpt-5", provider="openai", wire_model="gpt-5", base_url="https://x")
GPT_PRICE = Price(Rates(1.25e-06, 1e-05, 1.25e-07, 1.25e-06), Rates(6.25e-07, 5e-06, 6.25e-08, 6.25e-07))


def route(provider: str, wire_model: str) -> Route:
    return Route(spec=f"{provider}/{wire_model}", provider=provider, wire_model=wire_model, base_url="https://x")


@pytest.fixture
def table_file(tmp_path: Path) -> Path:
    file = tmp_path / "table.json"
    file.write_text(
        json.dumps(
            {
                "sample_spec": {"max_input_tokens": "words", "mode": "one of"},
                "gpt-5": {
                    "input_cost_per_token": 1.25e-06,
                    "output_cost_per_token": 1e-05,
                    "cache_read_input_token_cost": 1.25e-07,
                    "input_cost_per_token_batches": 6.25e-07,
                    "output_cost_per_token_batches": 5e-06,
                    "cache_read_input_token_cost_batches": 6.25e-08,
                    "max_input_tokens": 272000,
                    "max_output_tokens": 128000,
                    "litellm_provider": "openai",
                    "mode": "chat",
                },
                "gemini/pro": {
                    "input_cost_per_token": 1e-06,
                    "output_cost_per_token": 1e-05,
                    "input_cost_per_token_above_200k_tokens": 2e-06,
                    "output_cost_per_token_above_200k_tokens": 2e-05,
                    "input_cost_per_token_above_200k_tokens_priority": 9e-06,
                    "litellm_provider": "gemini",
                    "mode": "chat",
                },
                "groq/llama": {"input_cost_per_token": 5e-07, "output_cost_per_token": 8e-07},
                "gemini/gift": {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0},
                "text-embedding": {"litellm_provider": "openai", "mode": "embedding"},
            }
        )
    )
    return file


@pytest.fixture
def prices(table_file: Path) -> PriceTable:
    return PriceTable(table=table_file)


def test_a_model_in_the_table_has_price_and_context(prices: PriceTable) -> None:
    assert prices.facts_of(GPT) == ModelFacts(GPT_PRICE, context_tokens=272000, max_output_tokens=128000)


def test_a_dated_snapshot_costs_what_its_model_costs(prices: PriceTable) -> None:
    assert prices.price_of(route("openai", "gpt-5-2026-03-05")) == GPT_PRICE


def test_what_goes_through_litellm_is_found_by_its_full_name(prices: PriceTable) -> None:
    groq = Route(spec="groq/llama", provider="groq", wire_model="groq/llama", base_url="")

    assert prices.price_of(groq) == Price(Rates(5e-07, 8e-07, 5e-07, 5e-07))


@pytest.mark.parametrize(
    "unknown",
    [route("openai", "gpt-9"), route("local", "gpt-5"), route("gemini", "gift"), route("openai", "sample_spec")],
    ids=lambda unknown: unknown.spec,
)
def test_what_is_not_known_has_no_price(prices: PriceTable, unknown: Route) -> None:
    assert prices.price_of(unknown) is None


@pytest.mark.parametrize("text", ["", '{"gpt-5": ', '{"gpt-5": 5}'], ids=["empty", "cut off", "of another shape"])
def test_without_a_table_nothing_is_known(tmp_path: Path, text: str) -> None:
    broken = tmp_path / "table.json"
    broken.write_text(text)

    assert PriceTable(table=broken).facts_of(GPT) == ModelFacts()
    assert PriceTable(table=None).facts_of(GPT) == ModelFacts()


def test_of_a_large_table_little_is_kept() -> None:
    table = find_litellm_table()
    assert table is not None, "litellm is installed with this package"
    prices = PriceTable(table=table)

    tracemalloc.start()
    try:
        prices.warm()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < table.stat().st_size / 2


def test_chat_models_are_listed_as_they_are_called_on_the_wire(prices: PriceTable) -> None:
    assert list(prices.chat_models("openai")) == ["gpt-5"]
    assert list(prices.chat_models("gemini")) == ["pro"]
    assert list(prices.chat_models("local")) == []


def test_own_prices_win_per_million_tokens(table_file: Path, tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    own.write_text('[models."local/qwen"]\ninput = 1\noutput = 2\nbatch_factor = 0.5\ncontext_tokens = 8192\n')
    prices = PriceTable.load(Settings(), own)

    facts = prices.facts_of(route("local", "qwen"))

    assert facts == ModelFacts(Price(Rates(1e-6, 2e-6, 1e-6, 1e-6), Rates(5e-7, 1e-6, 5e-7, 5e-7)), context_tokens=8192)


def test_a_slip_in_the_prices_file_is_named(tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    own.write_text('[models."local/qwen"]\ninptu = 1\n')

    with pytest.raises(
        ConfigError, match=r'prices\.toml:2: models\."local/qwen"\.inptu: unknown key\. Did you mean input'
    ):
        PriceTable.load(Settings(), own)


def test_only_a_person_can_say_that_a_provider_is_free(table_file: Path, tmp_path: Path) -> None:
    settings = Settings(providers={"local": ProviderSettings(prices="free")})
    usage = Usage(input=10, output=10)

    free = PriceTable.load(settings, tmp_path / "none.toml").price_of(route("local", "qwen"))

    assert cost_usd(usage, free) == 0.0
    assert cost_usd(usage, PriceTable().price_of(route("local", "qwen"))) is None


def test_cost_counts_each_kind_of_token_once() -> None:
    price = Price(Rates(input=4.0, output=10.0, cached_input=1.0, cache_write=5.0))
    usage = Usage(input=100, cached_input=30, cache_write=20, output=7, reasoning=3)

    assert cost_usd(usage, price) == 50 * 4.0 + 30 * 1.0 + 20 * 5.0 + 7 * 10.0
    assert prefix_saving_usd(usage, price) == 30 * 3.0


def test_a_long_prompt_is_billed_at_its_tier(prices: PriceTable) -> None:
    price = prices.price_of(route("gemini", "pro"))

    assert cost_usd(Usage(input=200_000), price) == pytest.approx(0.2)
    assert cost_usd(Usage(input=200_001), price) == pytest.approx(0.400002)


def test_a_batch_without_a_stated_batch_price_has_an_unknown_cost(prices: PriceTable) -> None:
    usage = Usage(input=1_000_000)

    assert cost_usd(usage, prices.price_of(GPT), batch=True) == pytest.approx(0.625)
    assert cost_usd(usage, prices.price_of(route("gemini", "pro")), batch=True) is None


def test_the_providers_own_statement_of_cost_wins() -> None:
    assert cost_usd(Usage(input=5, cost_usd=0.25), GPT_PRICE) == 0.25
    assert cost_usd(None, GPT_PRICE) is None


def test_the_installed_table_is_read_without_importing_litellm() -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from workbench.core.pricing import PriceTable; from workbench.core.settings import Settings\n"
        "from workbench.core.types import Route\n"
        "prices = PriceTable.load(Settings(), Path('/nonexistent'))\n"
        "facts = prices.facts_of(Route('gpt-5', 'openai', 'gpt-5', ''))\n"
        "assert facts.price and facts.price.live.output > facts.price.live.input > 0, facts\n"
        "assert 'litellm' not in sys.modules\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
