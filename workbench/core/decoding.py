"""Reading JSON that somebody else wrote: a server, a proxy in front of it, a model, a person."""

from __future__ import annotations

from typing import Final

import msgspec

NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for what is no JSON or has another shape, for text that is not UTF-8, and for brackets a thousand
deep: a model that repeats itself writes those as well as a broken server does."""
