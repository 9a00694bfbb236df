"""What is on the Compare screen as a batch: rows, a name, and what it would cost beside the price of asking live."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widgets import Input, Static

from workbench.core.errors import WorkbenchError
from workbench.session import figures, job_words
from workbench.session.batch_order import BatchOrder
from workbench.session.draft import Draft
from workbench.session.targets import Target
from workbench.tui.aside import aside

if TYPE_CHECKING:
    from workbench.jobs.desk import JobDesk
    from workbench.jobs.job import JobEstimate

_PAUSE_S = 0.4
"""After the last key in the path, before the file is read."""

_QUOTED = 3
"""Bad rows whose reason is shown."""

_NAME_WIDTH = 26


@dataclass(frozen=True, slots=True)
class Quote:
    """What one model would take for it, or why it cannot be asked in a batch."""

    target: Target
    estimate: JobEstimate | None = None
    why_not: str = ""


class BatchSubmit(ModalScreen[BatchOrder]):
    """Dismissed with an order for the models that can be asked, or None."""

    CSS_PATH = "../styles/batches.tcss"

    HELP = """
    # Submit as a batch

    One job per model, asked at batch price: results come within a day, usually much sooner. With `{{variables}}` in the
    prompt, a file of rows (JSONL, CSV or text) fills them; with an empty prompt the rows bring their own. The price is
    a range, from short answers to long ones, beside what the same would cost live.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Leave it", id="submit.leave"),
        Binding("enter,f5,ctrl+r", "submit", "Submit", id="submit.submit", priority=True),
    ]

    def __init__(
        self,
        desk: JobDesk,
        draft: Draft,
        targets: tuple[Target, ...],
        *,
        left_usd: float | None = None,
        note: str = "",
    ) -> None:
        """Args:
        left_usd: what the session may still spend; None without a cap.
        note: what a person should know of the draft besides.
        """
        super().__init__()
        self._note = note
        self._desk = desk
        self._left_usd = left_usd
        self._order = BatchOrder(draft, targets)
        self.quotes: tuple[Quote, ...] | None = None
        """None while the rows are read, and when they cannot be asked or paid."""
        self._timer: Timer | None = None
        self._table = Static(id="submit-table", classes="dialog-text", markup=False)
        self._said = Static(id="submit-said", classes="dialog-text", markup=False)

    def compose(self) -> ComposeResult:
        variables = self._order.variables
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = "Submit as a batch"
            with Horizontal(classes="field"):
                yield Static("rows from", classes="field-name", markup=False)
                yield Input(id="submit-rows", compact=True, placeholder=_rows_hint(self._order))
            with Horizontal(classes="field"):
                yield Static("name", classes="field-name", markup=False)
                yield Input(id="submit-name", compact=True, placeholder=job_words.clean(self._order.said_name))
            yield self._table
            yield self._said
            fills = f" · a row fills {', '.join(variables)}" if variables else ""
            yield Static(f"enter submits · tab next field · esc leaves it{fills}", classes="dialog-hint", markup=False)

    def on_mount(self) -> None:
        self._table.update(_table(self._order.targets, None))
        self._look()

    @property
    def said(self) -> str:
        """The line below the table, as text."""
        return str(self._said.content)

    # Reading and pricing

    @on(Input.Changed, "#submit-rows")
    def _path_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.quotes = None
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(_PAUSE_S, self._look)

    def _look(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        path = self.query_one("#submit-rows", Input).value.strip()
        self._order = replace(self._order, source=Path(path).expanduser() if path else None)
        self.query_one("#submit-name", Input).placeholder = job_words.clean(self._order.said_name)
        self.quotes = None
        self._say("Reading the rows…")
        aside(self, partial(self._price, self._order), group="price", exclusive=True)

    async def _price(self, order: BatchOrder) -> None:
        try:
            survey = await asyncio.to_thread(order.check)
        except WorkbenchError as error:
            self._table.update(_table(order.targets, None))
            self._say(str(error), style="$text-warning")
            return
        order = self._order = replace(order, survey=survey)
        quotes = [await self._quote(order, target) for target in order.targets]
        self.quotes = tuple(quotes)
        self._table.update(_table(order.targets, self.quotes))
        self._say(*self._verdict())

    async def _quote(self, order: BatchOrder, target: Target) -> Quote:
        try:
            with closing(order.rows(target)) as rows:
                return Quote(target, await self._desk.price(target.model, rows))
        except (WorkbenchError, NotImplementedError) as error:
            return Quote(target, why_not=str(error))

    def _verdict(self) -> tuple[str, str]:
        """The sentence below the table, and its style."""
        quotes, survey = self.quotes or (), self._order.survey
        able = [quote.estimate for quote in quotes if quote.estimate is not None]
        if not able:
            return "None of these models can be asked in a batch: F2 chooses others.", "$text-warning"
        said = f"{job_words.rows(survey.rows)} each to {'1 model' if len(able) == 1 else f'{len(able)} models'}"
        least_usd = sum(one.batch_usd_low or 0.0 for one in able)
        if self._left_usd is not None and least_usd > self._left_usd:
            self.quotes = None
            left = figures.money(self._left_usd)
            return f"That is more than the {left} left of the spend cap: the palette has Spend cap.", "$text-warning"
        left_out = len(quotes) - len(able)
        if left_out:
            said += f"; {'1 model is' if left_out == 1 else f'{left_out} models are'} left out"
        if not survey.bad:
            return f"{said}. {self._note}".strip(), "$foreground"
        reasons = [f"line {row.line}: {row.reason}" for row in survey.bad[:_QUOTED]]
        if len(survey.bad) > _QUOTED:
            reasons.append(f"and {len(survey.bad) - _QUOTED:,} more")
        return f"{said}. {job_words.rows(len(survey.bad))} left out:\n  " + "\n  ".join(reasons), "$text-warning"

    def _say(self, text: str, style: str = "$foreground-muted") -> None:
        self._said.update(Content.styled(text, style))

    # Answering

    def action_submit(self) -> None:
        if self.quotes is None:
            # Not what was typed last, if that has not been read yet.
            self._look()
            return
        able = [(quote.target, quote.estimate) for quote in self.quotes if quote.estimate is not None]
        if able:
            self.dismiss(
                replace(
                    self._order,
                    targets=tuple(target for target, _ in able),
                    expected_usd=tuple(estimate.batch_usd_high for _, estimate in able),
                    name=self.query_one("#submit-name", Input).value.strip(),
                )
            )


def _rows_hint(order: BatchOrder) -> str:
    if order.variables:
        return "a .jsonl, .csv or .txt file"
    return (
        "a .jsonl, .csv or .txt file" if order.draft.is_empty else "none: the prompt alone; or a file for {{variables}}"
    )


def _table(targets: tuple[Target, ...], quotes: tuple[Quote, ...] | None) -> Content:
    top = f"{'':{_NAME_WIDTH + 2}}{'tokens in':>10} {'as a batch':>18} {'live':>18}"
    lines = [Content.styled(top, "$foreground-muted")]
    lines += [_line(number, quote) for number, quote in enumerate(quotes or [Quote(target) for target in targets], 1)]
    estimates = [quote.estimate for quote in quotes or () if quote.estimate is not None]
    if len(estimates) > 1:
        lines.append(_total(estimates))
    return Content("\n").join(lines)


def _line(number: int, quote: Quote) -> Content:
    target, estimate = quote.target, quote.estimate
    name = Content(job_words.clean(target.name)).truncate(_NAME_WIDTH, ellipsis=True, pad=True)
    head = Content.assemble((f"{number} ", f"bold $lane-{target.accent}"), name)
    if estimate is None:
        # The first sentence says it; the others are for whoever has more room.
        return Content.assemble(head, (f" {job_words.clean(quote.why_not).partition('. ')[0]}", "$text-warning"))
    return Content.assemble(
        head,
        f"{'~' + figures.quantity(estimate.input_tokens):>10} ",
        (f"{figures.cost_range(estimate.batch_usd_low, estimate.batch_usd_high):>18} ", "bold $text-accent"),
        (f"{figures.cost_range(estimate.live_usd_low, estimate.live_usd_high):>18}", "$foreground-muted"),
    )


def _total(estimates: list[JobEstimate]) -> Content:
    batch = figures.cost_range(
        _sum([one.batch_usd_low for one in estimates]), _sum([one.batch_usd_high for one in estimates])
    )
    live = figures.cost_range(
        _sum([one.live_usd_low for one in estimates]), _sum([one.live_usd_high for one in estimates])
    )
    least = "≥ " if any(one.batch_usd_high is None for one in estimates) else ""
    return Content.assemble(
        (f"  {'together':{_NAME_WIDTH}}", "$foreground-muted"),
        f"{'':>10} ",
        (f"{least + batch:>18} ", "bold $text-accent"),
        (f"{live:>18}", "$foreground-muted"),
    )


def _sum(prices: list[float | None]) -> float | None:
    """Of those that are known; None when none is."""
    known = [price for price in prices if price is not None]
    return sum(known) if known else None
