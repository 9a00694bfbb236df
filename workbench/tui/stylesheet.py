"""The app's style sheet: each source is parsed once for each set of colours.

Textual parses every source again, its own and the app's, whenever a screen comes on for the first time and twice more
when that is an area's: 50 to 100 ms in which no token is read.
"""

from __future__ import annotations

from textual.cache import LRUCache
from textual.css.stylesheet import Stylesheet

_SOURCES = 512
"""More than there are kinds of widgets: one too many, and a cache that is gone through in order keeps none."""


class KeptStylesheet(Stylesheet):
    """Parses what is new, and everything only when a variable has changed."""

    def __init__(self, *, variables: dict[str, str] | None = None) -> None:
        super().__init__(variables=variables)
        # Private, and the one place where a size is given; with another name the sheet is only slower again.
        self._parse_cache = LRUCache(_SOURCES)

    def set_variables(self, variables: dict[str, str]) -> None:
        # What has been parsed holds these values.
        if variables != self._variables:
            super().set_variables(variables)

    def reparse(self) -> None:
        self.parse()
