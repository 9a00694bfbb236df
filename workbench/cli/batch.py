"""`llm-workbench batch`: jobs at the providers' batch endpoints, from a file of prompts to a file of answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from workbench.cli.lazy import HelpfulGroup
from workbench.cli.options import FiniteRange, config_option, demo_option, invocation, parse_params

if TYPE_CHECKING:
    from workbench.jobs.desk import JobDesk
    from workbench.jobs.job import Job

CommandT = TypeVar("CommandT", bound=Callable[..., object])

_FILE = click.Path(path_type=Path, dir_okay=False)

_json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
_job_argument = click.argument("job_id", metavar="ID")


def _output_options(command: CommandT) -> CommandT:
    command = click.option("--overwrite", is_flag=True, help="Replace the --output that is there.")(command)
    return click.option("--output", type=_FILE, metavar="FILE", help="Into a .jsonl, .csv or .md file.")(command)


class _InOrder(HelpfulGroup):
    """Commands as they are used one after another, not by the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group("batch", cls=_InOrder)
def command() -> None:
    """Hand many prompts to a provider's batch endpoint, for half the price and an answer within a day.

    A job goes by its id, any unambiguous beginning of it, its provider's id, or provider:key:id. Jobs go on at their
    providers whether or not anything of this runs; `watch`, `status` and `retrieve` fetch what has ended.

    \b
    Exit codes of what looks at jobs:
      0  ended, and every row has its answer
      1  ended, and some rows have none
      2  wrong usage
      3  not ended yet
    """


@command.command(short_help="Hand in a file of prompts, to one model or several.")
@click.argument("file", type=_FILE)
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="MODEL",
    help="Model to ask: gpt-5.4, anthropic/…, gemini/…, together_ai/…; repeat for one job each.",
)
@click.option("--system", metavar="TEXT", help="System prompt, for rows without one.")
@click.option("--template", metavar="TEXT", help="The prompt, with {{variables}} from each row.")
@click.option("-p", "--param", "params", multiple=True, metavar="KEY=VALUE", help="temperature=0.2, max_tokens=100, …")
@click.option("--name", default="", metavar="TEXT", help="What to call the job; the file's name if not given.")
@click.option("--skip-bad", is_flag=True, help="Leave out rows that cannot be read or sent instead of stopping.")
@click.option("--estimate", is_flag=True, help="Say what it may cost, as a batch and live, and send nothing.")
@click.option("--wait", is_flag=True, help="Watch until all has ended, then give out the answers.")
@_output_options
@_json_option
@demo_option
@config_option
@click.pass_context
def submit(ctx: click.Context, /, models: tuple[str, ...], params: tuple[str, ...], demo: bool, **chosen: Any) -> None:
    """Submit every row of a .jsonl, .csv or .txt FILE to each MODEL, one job per model.

    A JSONL row is {"prompt": …} or {"messages": […]} with optional id, system and params. Prints the jobs' ids.

    With --demo a simulator plays the providers for as long as the command runs, so it waits for the answers.
    """
    from workbench.cli.batch_submit import Submission, run_submit

    if (chosen["output"] or chosen["overwrite"]) and not (chosen["wait"] or demo):
        raise click.UsageError("--output goes with --wait; later on it is `batch retrieve ID --output FILE`.", ctx)
    submission = Submission(models=models, values=parse_params(params), demo=demo, **chosen)
    ctx.exit(run_submit(invocation(ctx), submission))


@command.command("list", short_help="All jobs, newest first.")
@click.option("--open", "only_open", is_flag=True, help="Only jobs that have not ended.")
@click.option("--stored", is_flag=True, help="As they were last seen, without asking the providers.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="At most so many.")
@_json_option
@config_option
@click.pass_context
def list_(ctx: click.Context, /, **chosen: Any) -> None:
    """All jobs, newest first, asked after just now."""
    from workbench.cli.batch_look import show_list, show_none

    invoked = invocation(ctx)
    if not invoked.paths().database.exists():
        ctx.exit(asyncio.run(show_none(invoked, as_json=chosen["as_json"])))
    _at_the_desk(ctx, lambda desk: show_list(desk, **chosen))


@command.command(short_help="One job in full.")
@_job_argument
@_json_option
@config_option
@click.pass_context
def status(ctx: click.Context, job_id: str, as_json: bool) -> None:
    """One job in full, asked after just now; one that has ended is fetched."""
    from workbench.cli.batch_look import show_status

    _at_the_desk(ctx, lambda desk: show_status(desk, job_id, as_json=as_json))


@command.command(short_help="Follow jobs until they have ended.")
@click.argument("job_ids", metavar="[ID]...", nargs=-1)
@click.option("--timeout", "timeout_s", type=FiniteRange(0), metavar="SECONDS", help="Leave after so long, with 3.")
@_json_option
@config_option
@click.pass_context
def watch(ctx: click.Context, job_ids: tuple[str, ...], timeout_s: float | None, as_json: bool) -> None:
    """Follow jobs until they have ended; all open ones if none is named.

    A table on a terminal, a line for each change elsewhere. Leaving it leaves the jobs running.
    """
    from workbench.cli.batch_look import show_watch

    _at_the_desk(ctx, lambda desk: show_watch(desk, job_ids, timeout_s=timeout_s, as_json=as_json), track=True)


@command.command(short_help="The answers, in the order of the rows.")
@_job_argument
@click.option("--only", type=click.Choice(["all", "succeeded", "failed"]), default="all", help="Only such rows.")
@_output_options
@_json_option
@config_option
@click.pass_context
def retrieve(ctx: click.Context, job_id: str, only: str, output: Path | None, overwrite: bool, as_json: bool) -> None:
    """The answers of a job that has ended, in the order of its rows; failed rows have an error."""
    from workbench.cli.batch_look import give_out
    from workbench.jobs.job import RowFilter

    _at_the_desk(
        ctx,
        lambda desk: give_out(desk, job_id, only=RowFilter(only), output=output, overwrite=overwrite, as_json=as_json),
    )


@command.command(short_help="Ask the provider to stop.")
@_job_argument
@_json_option
@config_option
@click.pass_context
def cancel(ctx: click.Context, job_id: str, as_json: bool) -> None:
    """Ask the provider to stop. Rows that are done by then keep their answers, and are paid for."""
    _act(ctx, lambda desk: desk.cancel(job_id), as_json)


@command.command("retry-failed", short_help="Submit failed rows once more.")
@_job_argument
@_json_option
@config_option
@click.pass_context
def retry_failed(ctx: click.Context, job_id: str, as_json: bool) -> None:
    """Submit the failed rows of a job that has ended once more, as a new job."""
    _act(ctx, lambda desk: desk.retry_failed(job_id), as_json)


@command.command("import", short_help="Take up a batch that was made elsewhere.")
@_job_argument
@click.option("-m", "--model", metavar="MODEL", help="What its rows were for, so that they can be priced.")
@click.option("--name", default="", metavar="TEXT", help="What to call the job.")
@_json_option
@config_option
@click.pass_context
def import_(ctx: click.Context, job_id: str, model: str | None, name: str, as_json: bool) -> None:
    """Take up a batch that was made elsewhere, by its provider's ID or provider:key:ID."""
    _act(ctx, lambda desk: desk.import_(job_id, model=model, name=name), as_json, makes_store=True)


@command.command(short_help="Delete a job that has ended from this machine.")
@_job_argument
@config_option
@click.pass_context
def forget(ctx: click.Context, job_id: str) -> None:
    """Delete a job that has ended, with its rows and answers, from this machine."""

    async def work(desk: JobDesk) -> int:
        await desk.forget(job_id)
        return 0

    _at_the_desk(ctx, work)


def _act(
    ctx: click.Context, act: Callable[[JobDesk], Awaitable[Job]], as_json: bool, *, makes_store: bool = False
) -> None:
    """Do something that gives a job, and show that."""

    async def work(desk: JobDesk) -> int:
        from workbench.cli.batch_look import show_json

        job = await act(desk)
        if as_json:
            show_json([job])
        else:
            click.echo(f"{job.id}  {job.state.value}")
        return 0

    _at_the_desk(ctx, work, makes_store=makes_store)


def _at_the_desk(
    ctx: click.Context, work: Callable[[JobDesk], Awaitable[int]], *, track: bool = False, makes_store: bool = False
) -> None:
    from workbench.cli.batch_desk import at_the_desk

    ctx.exit(at_the_desk(invocation(ctx), work, track=track, makes_store=makes_store))
