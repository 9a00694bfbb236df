"""`llm-workbench models`: which models are known, which of them can be asked right now, and what they cost."""

from __future__ import annotations

import json

import click

from workbench.cli.accounts import Account, accounts
from workbench.cli.options import config_option, invocation
from workbench.cli.table import columns
from workbench.core.pricing import ModelFacts, PriceTable
from workbench.core.types import Json, Route
from workbench.providers.base import WireFamily
from workbench.providers.catalog import known_models
from workbench.providers.known_models import KnownModel
from workbench.session import figures


@click.command("models")
@click.argument("search", required=False, default="")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per model and line.")
@config_option
@click.pass_context
def command(ctx: click.Context, search: str, as_json: bool) -> None:
    """List known models, or those with SEARCH in their name. Any other name of a provider works as well.

    Prices are USD per million tokens; a dash is unknown.
    """
    invoked = invocation(ctx)
    settings = invoked.settings()
    found = accounts(settings, invoked.environ)
    prices = PriceTable.load(settings, invoked.paths().prices_file)
    known = [
        model for model in known_models([account.row for account in found]) if search.lower() in model.name.lower()
    ]
    if as_json:
        by_name = {account.row.name: account for account in found}
        for model in known:
            account = by_name[model.provider]
            click.echo(json.dumps(_as_json(model, account, prices.facts_of(_route(model, account)))))
        return
    parts = [part for account in found if (part := _section(account, known, prices))]
    aliases = [(alias, target) for alias, target in settings.aliases.items() if search.lower() in alias.lower()]
    if aliases:
        parts.append(f"Aliases\n{columns(aliases, indent=2)}")
    click.echo(
        "\n\n".join(parts) if parts else f"No known model has {search!r} in its name; it may exist all the same."
    )


def _section(account: Account, known: list[KnownModel], prices: PriceTable) -> str:
    models = [model for model in known if model.provider == account.row.name]
    if not models:
        return ""
    state = "ready" if account.can_be_asked else account.why_not
    rows = [("", "context", "input", "cached", "output")]
    for model in models:
        facts = prices.facts_of(_route(model, account))
        context = facts.context_tokens or model.context
        live = facts.price.live if facts.price else None
        rows.append(
            (
                model.name,
                figures.UNKNOWN if context is None else figures.quantity(context),
                figures.price_per_million(live.input if live else None),
                figures.price_per_million(live.cached_input if live else None),
                figures.price_per_million(live.output if live else None),
            )
        )
    title = account.row.title or account.row.name
    return f"{title} · {state}\n{columns(rows, right=frozenset({1, 2, 3, 4}), indent=2)}"


def _as_json(model: KnownModel, account: Account, facts: ModelFacts) -> dict[str, Json]:
    live = facts.price.live if facts.price else None
    return {
        "model": model.name,
        "provider": model.provider,
        "available": account.can_be_asked,
        "why_not": account.why_not or None,
        "context_tokens": facts.context_tokens or model.context,
        "max_output_tokens": facts.max_output_tokens,
        "reasons": model.reasons,
        "input_usd_per_million": _per_million(live.input if live else None),
        "cached_input_usd_per_million": _per_million(live.cached_input if live else None),
        "output_usd_per_million": _per_million(live.output if live else None),
    }


def _per_million(usd: float | None) -> float | None:
    return None if usd is None else round(usd * 1e6, 6)


def _route(model: KnownModel, account: Account) -> Route:
    row = account.row
    bare = model.name.removeprefix(f"{row.prefix}/")
    return Route(
        spec=model.name,
        provider=row.name,
        wire_model=model.name if row.family is WireFamily.LITELLM and row.prefix == row.name else bare,
        base_url=row.base_url,
    )
