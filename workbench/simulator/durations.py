"""Times as the providers write them: Go durations, RFC 3339, HTTP dates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime


def go_duration(seconds: float) -> str:
    """As Go prints it, in whole milliseconds: `0s`, `12ms`, `1.5s`, `6m0s`, `1h2m3s`."""
    ms = max(0, round(seconds * 1000))
    if ms < 1000:
        return f"{ms}ms" if ms else "0s"
    hours, rest = divmod(ms, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    text = f"{rest // 1000}.{rest % 1000:03d}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def after(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=max(0.0, seconds))


def rfc3339(seconds: float) -> str:
    """So many seconds from now, as Anthropic writes it: whole seconds, rounded up."""
    moment = after(seconds + 0.999).replace(microsecond=0)
    return moment.isoformat().replace("+00:00", "Z")


def rfc3339_at(epoch_s: float) -> str:
    """That moment, in microseconds."""
    return datetime.fromtimestamp(epoch_s, UTC).isoformat().replace("+00:00", "Z")


def http_date(seconds: float) -> str:
    return format_datetime(after(seconds + 0.999).replace(microsecond=0), usegmt=True)
