"""`llm-workbench keys`: which keys there are, what they are called, and where each came from. Never a key itself."""

from __future__ import annotations

import json

import click

from workbench.cli.accounts import Account, accounts
from workbench.cli.options import config_option, invocation
from workbench.cli.table import columns


@click.command("keys")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per key and line.")
@config_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List the keys that were found, by alias and source, and what could be set for the others.

    The fingerprint tells two keys apart without giving either away.
    """
    invoked = invocation(ctx)
    found = accounts(invoked.settings(), invoked.environ)
    if as_json:
        for account in found:
            for key in account.keyring.keys:
                click.echo(
                    json.dumps(
                        {
                            "alias": key.alias,
                            "provider": account.row.name,
                            "source": key.source,
                            "fingerprint": key.fingerprint,
                            "account": key.account or None,
                        }
                    )
                )
        return
    click.echo(_listing(found))


def _listing(found: list[Account]) -> str:
    rows = [("ALIAS", "FOUND IN", "FINGERPRINT", "ACCOUNT")]
    rows += [
        (key.alias, key.source, key.fingerprint, key.account or "its own")
        for account in found
        for key in account.keyring.keys
    ]
    parts = [columns(rows)] if len(rows) > 1 else ["No keys were found."]
    if notes := [note for account in found for note in account.keyring.notes]:
        parts.append("\n".join(notes))
    without = [account for account in found if not account.can_be_asked]
    if without:
        variables = [(account.row.title or account.row.name, account.row.key_variables[0]) for account in without]
        parts.append(f"Without a key, and the variable to set:\n{columns(variables, indent=2)}")
    return "\n\n".join(parts)
