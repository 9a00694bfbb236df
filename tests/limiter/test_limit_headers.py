"""Every way in which providers state their limits, and every way in which that can be nonsense."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.errors import LimitKind
from workbench.engine.limit_headers import Reading, layout_of, parse_limit_headers, parse_refusal, parse_reset

WALL_S = 1_780_000_000.0
REQUESTS, TOKENS = LimitKind.REQUESTS, LimitKind.TOKENS
INPUT, OUTPUT = LimitKind.INPUT_TOKENS, LimitKind.OUTPUT_TOKENS


def read(**headers: str) -> tuple[Reading, ...]:
    return parse_limit_headers([(name.replace("_", "-"), value) for name, value in headers.items()], WALL_S)


def test_openai_states_limits_remainders_and_resets_as_durations():
    assert read(
        content_type="text/event-stream",
        x_ratelimit_limit_requests="5000",
        x_ratelimit_remaining_requests="4999",
        x_ratelimit_reset_requests="12ms",
        x_ratelimit_limit_tokens="2000000",
        x_ratelimit_remaining_tokens="1999000",
        x_ratelimit_reset_tokens="6m0.5s",
    ) == (Reading(REQUESTS, 5000, 4999, 0.012), Reading(TOKENS, 2_000_000, 1_999_000, 360.5))


def test_anthropic_counts_input_and_output_apart_and_resets_at_a_date():
    assert read(
        anthropic_ratelimit_requests_limit="50",
        anthropic_ratelimit_requests_remaining="49",
        anthropic_ratelimit_requests_reset="2026-05-28T20:26:50Z",
        anthropic_ratelimit_input_tokens_limit="40000",
        anthropic_ratelimit_input_tokens_remaining="39000",
        anthropic_ratelimit_input_tokens_reset="2026-05-28T20:26:41Z",
        anthropic_ratelimit_output_tokens_limit="8000",
        anthropic_ratelimit_output_tokens_remaining="0",
        anthropic_ratelimit_output_tokens_reset="2026-05-28T20:27:40+00:00",
    ) == (Reading(REQUESTS, 50, 49, 10.0), Reading(INPUT, 40_000, 39_000, 1.0), Reading(OUTPUT, 8000, 0, 60.0))


def test_together_limits_per_second():
    assert read(
        x_ratelimit_limit="10",
        x_ratelimit_remaining="9",
        x_ratelimit_reset="0",
        x_tokenlimit_limit="3000",
        x_tokenlimit_remaining="2900",
    ) == (Reading(REQUESTS, 10, 9, 0.0, period_s=1.0), Reading(TOKENS, 3000, 2900, None, period_s=1.0))


def test_together_says_its_token_limit_under_two_names_and_both_are_per_second():
    assert read(
        x_ratelimit_limit="10",
        x_ratelimit_limit_tokens="3000",
        x_ratelimit_remaining_tokens="2900",
        x_tokenlimit_limit="3000",
        x_tokenlimit_remaining="2900",
    ) == (Reading(REQUESTS, 10, None, None, period_s=1.0), Reading(TOKENS, 3000, 2900, None, period_s=1.0))


def test_openrouter_resets_at_unix_milliseconds():
    reset = str(int((WALL_S + 30) * 1000))

    assert read(x_ratelimit_limit="20", x_ratelimit_remaining="0", x_ratelimit_reset=reset) == (
        Reading(REQUESTS, 20, 0, 30.0),
    )


def test_sambanova_and_cerebras_limits_per_day_are_left_out():
    assert read(
        x_ratelimit_limit_requests="240",
        x_ratelimit_remaining_requests="239",
        x_ratelimit_reset_requests=str(int(WALL_S + 12)),
        x_ratelimit_limit_requests_day="48000",
        x_ratelimit_remaining_requests_day="1",
        x_ratelimit_limit_tokens_minute="60000",
        x_ratelimit_remaining_tokens_minute="59000",
        x_ratelimit_reset_tokens_minute="12.5",
    ) == (Reading(REQUESTS, 240, 239, 12.0), Reading(TOKENS, 60_000, 59_000, 12.5))


def test_answers_that_are_laid_out_alike_are_read_each_for_itself():
    one = (("date", "today"), ("x-ratelimit-limit-requests", "100"), ("x-ratelimit-remaining-requests", "99"))
    other = (("date", "today"), ("x-ratelimit-limit-requests", "80"), ("x-ratelimit-remaining-requests", "7"))

    assert layout_of(one) is layout_of(other)
    assert [layout_of(headers).readings(headers, WALL_S) for headers in (one, other)] == [
        (Reading(REQUESTS, 100, 99),),
        (Reading(REQUESTS, 80, 7),),
    ]


def test_of_all_headers_those_about_limits_and_waits_are_kept():
    headers = (("date", "today"), ("x-ratelimit-limit-images", "5"), ("server", "acme"), ("retry-after", "2"))

    assert layout_of(headers).excerpt(headers) == (("x-ratelimit-limit-images", "5"), ("retry-after", "2"))


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"limit": "-1", "remaining": "0"}, id="Azure's Responses API"),
        pytest.param({"limit": "0", "remaining": "0"}, id="a limit of zero"),
        pytest.param({"limit": "100", "remaining": "101"}, id="more remains than there is"),
        pytest.param({"limit": "nan", "remaining": "5"}, id="not a number"),
        pytest.param({"limit": "1e400", "remaining": "5"}, id="infinite"),
        pytest.param({"limit": "many", "remaining": "5"}, id="a word"),
        pytest.param({"limit": "", "remaining": "5"}, id="nothing"),
        pytest.param({"remaining": "5", "reset": "1s"}, id="no limit"),
    ],
)
def test_a_nonsense_limit_counts_as_not_said(headers):
    assert read(**{f"x_ratelimit_{field}_requests": value for field, value in headers.items()}) == ()


def test_a_nonsense_remainder_or_reset_leaves_the_limit():
    assert read(
        x_ratelimit_limit_requests="1,000", x_ratelimit_remaining_requests="-5", x_ratelimit_reset_requests="soon"
    ) == (Reading(REQUESTS, 1000, None, None),)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20ms", 0.02),
        ("1m30s", 90.0),
        ("1h0m0s", 3600.0),
        ("6m0s", 360.0),
        ("250µs", 0.00025),
        ("0s", 0.0),
        ("7.66", 7.66),
        (str(WALL_S + 5), 5.0),
        ("2026-05-28T20:26:50Z", 10.0),
        ("", None),
        ("m", None),
        ("5 minutes", None),
        ("-3", None),
        ("-5s", None),
        ("1e3ms", None),
        ("1.2.3s", None),
        ("ms", None),
        (".s", None),
        ("nan", None),
        ("inf", None),
        ("31536000", None),
        ("2026-05-28T20:26:50", None),
        ("2031-01-01T00:00:00Z", None),
        (str(WALL_S - 500), None),
    ],
)
def test_a_reset_is_a_duration_seconds_a_date_or_nothing(text, seconds):
    assert parse_reset(text, WALL_S) == (None if seconds is None else pytest.approx(seconds))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["limit-requests", "remaining-requests", "reset-requests", "limit-tokens", "remaining-tokens", "limit"]
            ),
            st.text(max_size=20) | st.floats().map(str) | st.integers().map(str),
        ),
        max_size=8,
    )
)
def test_whatever_the_headers_say_readings_are_sensible(pairs):
    for reading in parse_limit_headers([(f"x-ratelimit-{name}", value) for name, value in pairs], WALL_S):
        assert reading.limit is not None
        assert 0 < reading.limit <= 1e12
        assert reading.remaining is None or 0 <= reading.remaining <= reading.limit
        assert reading.reset_s is None or 0 <= reading.reset_s <= 86_400


@pytest.mark.parametrize(
    ("message", "reading"),
    [
        (
            "Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Used 29500, Requested 900. Try later.",
            Reading(TOKENS, 30_000, 500, spoken=True),
        ),
        (
            "Rate limit reached for gpt-4o on requests per min (RPM): Limit 3, Used 3, Requested 1.",
            Reading(REQUESTS, 3, 0, spoken=True),
        ),
        (
            "Sorry.\n* Quota exceeded for metric: example.com/generate_content_free_tier_requests, limit: 15\nLater.",
            Reading(REQUESTS, 15, 0, spoken=True),
        ),
        ("Too many requests", None),
        ("Quota exceeded for metric: generate_content_requests, limit: 0", None),
    ],
)
def test_limits_in_the_words_of_a_refusal(message, reading):
    assert parse_refusal(message) == reading
