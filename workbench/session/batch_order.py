"""What is on the Compare screen, as a batch: one prompt, perhaps a file of rows for it, and the models to be asked.

Reading happens in `survey` and whenever rows are asked for, row by row, never whole: not on an event loop. Whether a
provider has batches at all is not known here.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from workbench.core.errors import UsageError
from workbench.core.messages import messages_from
from workbench.jobs.rows import BadRow, Row, RowReader
from workbench.jobs.template import variables_of
from workbench.session.draft import Draft
from workbench.session.targets import Target

NAME_WIDTH = 40
"""Characters of a prompt that become a batch's name."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a file of rows holds."""

    rows: int
    bad: tuple[BadRow, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchOrder:
    draft: Draft
    targets: tuple[Target, ...]
    source: Path | None = None
    """JSONL, CSV or text; None asks the prompt once."""
    name: str = ""
    survey: Survey = field(default_factory=lambda: Survey(1))
    """Of the rows; bad ones are left out."""
    expected_usd: tuple[float | None, ...] = ()
    """Of each target at most, once it has been priced; None where no price is known."""

    @property
    def variables(self) -> tuple[str, ...]:
        return variables_of(self.draft.prompt)

    @property
    def said_name(self) -> str:
        """What it is called: its own name, its file's, or how its prompt begins."""
        if self.name:
            return self.name
        if self.source is not None:
            return self.source.stem
        first_line = " ".join(self.draft.prompt.split())
        return first_line if len(first_line) <= NAME_WIDTH else first_line[: NAME_WIDTH - 1] + "…"

    def check(self) -> Survey:
        """Read every row once. Raises UsageError, in words for a person, when there is nothing that can be asked."""
        if self.source is None:
            if self.draft.is_empty:
                raise UsageError("There is neither a prompt nor a file of rows.")
            if self.variables:
                names = ", ".join(f"{{{{{name}}}}}" for name in self.variables)
                raise UsageError(f"The prompt has {names}: name a file whose rows fill it.")
            return Survey(1)
        if not self.draft.is_empty and not self.variables:
            raise UsageError(
                "The prompt has no {{variable}}: every row would ask the same.",
                hint="Put one where the row's own text belongs, or empty the prompt to send the rows' own.",
            )
        rows, bad = 0, list[BadRow]()
        with closing(self._reader(self.targets[0]).read(self.source)) as found:
            for row in found:
                if isinstance(row, BadRow):
                    bad.append(row)
                else:
                    rows += 1
        if not rows:
            why = f" Line {bad[0].line}: {bad[0].reason}" if bad else " It is empty."
            raise UsageError(f"{self.source.name} has no row that can be asked.{why}")
        return Survey(rows, tuple(bad))

    def rows(self, target: Target) -> Generator[Row, None, None]:
        """What this target is asked, a row at a time. Close it when leaving early: it holds the file."""
        if self.source is None:
            yield Row(1, "1", messages_from(self.draft.prompt, self.draft.system or None), target.params)
            return
        with closing(self._reader(target).read(self.source)) as found:
            yield from (row for row in found if isinstance(row, Row))

    def _reader(self, target: Target) -> RowReader:
        template = None if self.draft.is_empty else self.draft.prompt
        return RowReader(template=template, system=self.draft.system or None, params=target.params)
