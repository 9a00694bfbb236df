"""`llm-workbench simulate`: the providers, on this machine, until interrupted."""

from __future__ import annotations

import click

from workbench.cli.options import FiniteRange

SLOW_DAYS = (
    "rate-limit",
    "in-flight-cap",
    "slow-model",
    "slow-connection",
    "stalled-stream",
    "cold-start",
    "retries",
    "busy-screen",
)
"""One for each thing that makes answers slow."""

PROFILES = ("demo", "fast", "steady", "saturated", "chaos", *SLOW_DAYS)


@click.command(name="simulate")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, type=click.IntRange(0, 65_535), help="Port to listen on; 0 takes a free one.")
@click.option(
    "--profile",
    default="demo",
    show_default=True,
    type=click.Choice(PROFILES),
    help="What kind of day the providers have.",
)
@click.option("--tls", is_flag=True, help="HTTPS with a certificate made on the spot; its authority is `ca_file`.")
@click.option("--seed", default=0, show_default=True, help="Equal seeds give equal answers.")
@click.option(
    "--time-scale",
    default=1.0,
    show_default=True,
    type=FiniteRange(min=0.0),
    help="Multiplies every latency: 0.1 is ten times as fast, 0 is at once.",
)
@click.option(
    "--coalesce-ms",
    default=0.0,
    show_default=True,
    type=FiniteRange(min=0.0),
    help="Put events that are due this close together into one write.",
)
@click.option("--until-stdin-closes", is_flag=True, hidden=True)
def command(
    host: str,
    port: int,
    profile: str,
    tls: bool,
    seed: int,
    time_scale: float,
    coalesce_ms: float,
    until_stdin_closes: bool,
) -> None:
    """Simulate the LLM providers on a local port.

    Prints one line of JSON when it is ready (url, base_urls, api_key, ca_file), then serves until it is interrupted.
    Point OPENAI_BASE_URL, ANTHROPIC_BASE_URL, GEMINI_BASE_URL and so on at the base_urls, with the api_key as key.
    """
    import asyncio

    from workbench.simulator.profiles import PROFILES as SERVER_PROFILES
    from workbench.simulator.server import ServerOptions
    from workbench.simulator.serving import serve

    options = ServerOptions(
        SERVER_PROFILES[profile], seed=seed, time_scale=time_scale, coalesce_s=coalesce_ms / 1000, tls=tls
    )
    try:
        asyncio.run(serve(options, host, port, until_stdin_closes=until_stdin_closes))
    except OSError as exc:
        raise click.ClickException(f"cannot listen on {host}:{port}: {exc.strerror or exc}") from exc
