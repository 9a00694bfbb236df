from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.redact import MASK, Redactor, redact


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-abcDEF1234567890abcDEF",
        "sk-ant-api03-abcdef_123456-xyz",
        "sk-or-v1-0123456789abcdef",
        "sk-abcde***************wxyz",
        "AIzaSyA0123456789abcdefghijklmnopqrstu",
        "gsk_0123456789abcdefghij",
        "tgp_v1_0123456789abcdefghij",
    ],
)
def test_what_has_the_shape_of_a_key_is_hidden(key: str) -> None:
    assert redact(f'Incorrect API key provided: {key}. See "{key}".') == (
        f'Incorrect API key provided: {MASK}. See "{MASK}".'
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer abcdef123456", f"Authorization: Bearer {MASK}"),
        ("POST https://host/v1?alt=sse&key=short123&x=1", f"POST https://host/v1?alt=sse&key={MASK}&x=1"),
        ("proxy http://me:hunter2@proxy:8080/", f"proxy http://{MASK}@proxy:8080/"),
    ],
)
def test_a_key_is_known_by_where_it_stands(text: str, expected: str) -> None:
    assert redact(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "a task-oriented sk-learn answer",
        "openai#2 was refused (429)",
        "https://host:8080/v1/models",
        "risk-free-evaluations",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert redact(text, ["none", "EMPTY"]) == text


@given(
    st.lists(st.text(alphabet="abcXYZ019-_", min_size=8, max_size=24), min_size=1, max_size=4),
    st.text(max_size=20),
    st.text(max_size=20),
)
def test_a_known_secret_never_survives(secrets: list[str], before: str, after: str) -> None:
    redactor = Redactor(secrets)

    for secret in secrets:
        assert secret not in redactor.text(f"{before} {secret} {after}").replace(MASK, "")


def test_headers_with_credentials_keep_their_name_only() -> None:
    headers = (("X-Api-Key", "short"), ("retry-after", "3"), ("x-echo", "sk-abcdefgh12345"))

    assert Redactor().headers(headers) == (("X-Api-Key", MASK), ("retry-after", "3"), ("x-echo", MASK))


def test_a_redactor_does_not_show_what_it_hides() -> None:
    assert "sk-verysecret" not in repr(Redactor(["sk-verysecret"]))
