"""What a refusal says about waiting, in every notation that providers use, and in some that they should not."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.providers.hints import LONGEST_S, duration_in, parse_duration, retry_after_s, should_retry

NOW = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
RETRY_INFO = [
    {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": []},
    {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "45.837906927s"},
]


def wait(*headers: tuple[str, str], details: object = None, message: str = "") -> float | None:
    return retry_after_s(headers, details, message, NOW)  # type: ignore[arg-type]  # JSON of any shape


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20ms", 0.02),
        ("12ms", 0.012),
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("1m30.951s", 90.951),
        ("1h2m3s", 3723.0),
        ("45.837906927s", 45.837906927),
        ("150µs", 0.00015),
        ("27.4 seconds", 27.4),
        ("2 minutes and 5 seconds", 125.0),
        ("1m", 60.0),
    ],
)
def test_a_duration_is_read_with_milliseconds_before_minutes(text: str, seconds: float):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "5", "5 parsecs", "1m30", "-5s", "s", "3 months", "1d"])
def test_what_is_no_duration_is_none(text: str):
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit reached for gpt-5.4 on requests per min (RPM): Limit 3. Please try again in 20ms.", 0.02),
        ("Rate limit reached: Limit 30000, Used 28912. Please try again in 6m0s. Visit https://acme/limits.", 360.0),
        ("Quota exceeded for metric. Please retry in 38.602s.", 38.602),
        ("You exceeded your current quota. Please retry in 27.4s", 27.4),
        ("Requests have exceeded the rate limit. Please retry after 23 seconds.", 23.0),
        ("Slow down and wait 2 minutes", 120.0),
        ("Try again in 1h2m3s", 3723.0),
    ],
)
def test_a_sentence_says_how_long(message: str, seconds: float):
    assert duration_in(message) == pytest.approx(seconds)


@pytest.mark.parametrize("message", ["", "Rate limit of 5 seconds reached", "Please retry later", "try again in March"])
def test_a_sentence_that_asks_for_no_wait_says_nothing(message: str):
    assert duration_in(message) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param([("retry-after-ms", "1500")], 1.5, id="retry-after-ms"),
        pytest.param([("retry-after", "7")], 7.0, id="seconds"),
        pytest.param([("retry-after", "0.25")], 0.25, id="fraction"),
        pytest.param([("retry-after", "0")], 0.0, id="now"),
        pytest.param([("retry-after", "Sun, 22 Nov 2026 08:30:09 GMT")], 9.0, id="HTTP date"),
        pytest.param([("x-ratelimit-reset-requests", "20ms")], 0.02, id="Go duration"),
        pytest.param([("x-ratelimit-reset", str(NOW.timestamp() * 1000 + 4000))], 4.0, id="Unix ms"),
        pytest.param([("x-ratelimit-reset", str(NOW.timestamp() + 4))], 4.0, id="Unix s"),
        pytest.param([("x-ratelimit-reset", "11")], 11.0, id="plain seconds"),
        pytest.param([("anthropic-ratelimit-requests-reset", "2026-11-22T08:30:13Z")], 13.0, id="RFC 3339"),
        pytest.param(
            [("x-ratelimit-reset-requests", "1s"), ("x-ratelimit-reset-tokens", "6m0s")], 1.0, id="soonest of unknown"
        ),
        pytest.param(
            [
                ("x-ratelimit-reset-requests", "1s"),
                ("x-ratelimit-reset-tokens", "6m0s"),
                ("x-ratelimit-remaining-tokens", "0"),
            ],
            360.0,
            id="the exhausted one",
        ),
    ],
)
def test_each_header_is_read(headers: list[tuple[str, str]], seconds: float):
    assert wait(*headers) == pytest.approx(seconds)


def test_the_more_deliberate_word_wins():
    everything = [
        ("retry-after-ms", "1"),
        ("retry-after", "2"),
        ("x-ratelimit-reset-requests", "3s"),
        ("anthropic-ratelimit-requests-reset", "2026-11-22T08:30:04Z"),
    ]

    found = [wait(*everything[start:], details=RETRY_INFO, message="try again in 6s") for start in range(5)]

    assert found == pytest.approx([0.001, 2.0, 3.0, 4.0, 45.837906927])
    assert wait(message="try again in 6s") == 6.0


@pytest.mark.parametrize(
    "value",
    [
        *("-1", "nan", "inf", "-inf", "3601", "1e400", "soon", "", "Sun, 22 Nov 2020 08:30:09 GMT"),
        "Mon, 1 Jan 99999999999 00:00:00 GMT",
        "Mon, 01 Jan 2027 00:00:00 +99999999999999999999",
    ],
)
def test_an_absurd_hint_is_passed_over_for_the_next(value: str):
    assert wait(("retry-after", value)) is None
    assert wait(("retry-after", value), message="try again in 20ms") == pytest.approx(0.02)


@pytest.mark.parametrize(("value", "said"), [("true", True), ("False", False), ("maybe", None)])
def test_x_should_retry_is_taken_at_its_word(value: str, said: bool | None):
    assert should_retry((("x-should-retry", value),)) is said
    assert should_retry(()) is None


@given(st.integers(0, 59), st.integers(0, 59), st.integers(0, 999), st.integers(0, 23))
def test_any_go_duration_is_read_back(minutes: int, seconds: int, millis: int, hours: int):
    text = f"{hours}h{minutes}m{seconds}.{millis:03}s"

    assert parse_duration(text) == pytest.approx(hours * 3600 + minutes * 60 + seconds + millis / 1000)
    assert parse_duration(f"{millis}ms") == pytest.approx(millis / 1000)


@given(st.integers(0, int(LONGEST_S)))
def test_an_http_date_is_the_time_until_it(seconds: int):
    assert wait(("retry-after", format_datetime(NOW + timedelta(seconds=seconds), usegmt=True))) == seconds


NAMES = st.sampled_from(
    ["retry-after", "retry-after-ms", "x-ratelimit-reset-tokens", "x-ratelimit-reset", "x-ratelimit-remaining-tokens",
     "anthropic-ratelimit-tokens-reset"]
)  # fmt: skip


@given(st.lists(st.tuples(NAMES, st.text(max_size=30) | st.floats().map(str))), st.text(max_size=80))
def test_whatever_a_server_sends_the_wait_is_sane(headers: list[tuple[str, str]], message: str):
    found = wait(*headers, details=[{"retryDelay": message}, message, None], message=f"try again in {message}")

    assert found is None or (0.0 <= found <= LONGEST_S and math.isfinite(found))
