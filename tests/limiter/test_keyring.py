"""Where keys come from, and what is made of bad ones."""

from __future__ import annotations

from dataclasses import replace

from workbench.core.settings import ProviderSettings, Settings
from workbench.engine.keyring import ConfiguredKey, Keyring
from workbench.providers.base import ProviderSpec, WireFamily

OPENAI = ProviderSpec(
    name="openai",
    prefix="openai",
    family=WireFamily.OPENAI_CHAT,
    base_url="http://127.0.0.1:1/v1",
    base_url_variables=("OPENAI_BASE_URL",),
    key_variables=("OPENAI_API_KEY", "OPENAI_KEYS"),
)


def secrets(ring: Keyring) -> list[str]:
    return [key.secret for key in ring.keys]


def test_each_variable_may_hold_one_key_or_a_comma_list():
    ring = Keyring.from_sources(OPENAI, {"OPENAI_API_KEY": "one", "OPENAI_KEYS": " two ,three"})

    assert secrets(ring) == ["one", "two", "three"]
    assert [(key.alias, key.source) for key in ring.keys] == [
        ("openai#1", "OPENAI_API_KEY"),
        ("openai#2", "OPENAI_KEYS"),
        ("openai#3", "OPENAI_KEYS"),
    ]
    assert ring.notes == ()


def test_settings_and_the_system_keyring_come_after_the_environment():
    ring = Keyring.from_sources(
        OPENAI,
        {"OPENAI_API_KEY": "env"},
        ["plain", ConfiguredKey("theirs", account="acme")],
        system={"openai": "stored,env"}.get,
    )

    assert [(key.secret, key.source, key.account) for key in ring.keys] == [
        ("env", "OPENAI_API_KEY", ""),
        ("plain", "settings", ""),
        ("theirs", "settings", "acme"),
        ("stored", "system keyring", ""),
    ]
    assert ring.notes == ("system keyring: the same key as openai#1; left out.",)


def test_blanks_duplicates_and_unsendable_entries_are_left_out_with_a_note():
    ring = Keyring.from_sources(OPENAI, {"OPENAI_API_KEY": "'a',, a,b\nc,d e,é"}, ["", "a"])

    assert secrets(ring) == ["a"]
    assert ring.notes == (
        "OPENAI_API_KEY: an empty entry was left out.",
        "OPENAI_API_KEY: the same key as openai#1; left out.",
        "OPENAI_API_KEY: an entry with blanks or control characters was left out.",
        "OPENAI_API_KEY: an entry with blanks or control characters was left out.",
        "OPENAI_API_KEY: an entry with blanks or control characters was left out.",
        "settings: an empty entry was left out.",
        "settings: the same key as openai#1; left out.",
    )


def test_a_variable_set_to_nothing_is_like_one_that_is_not_set():
    assert Keyring.from_sources(OPENAI, {"OPENAI_API_KEY": "  "}) == Keyring("openai", ())


def test_no_repr_and_no_note_shows_a_key():
    ring = Keyring.from_sources(
        OPENAI, {"OPENAI_API_KEY": "sk-secret,sk-secret,sk-sec ret"}, [ConfiguredKey("sk-secret")]
    )

    assert "sk-sec" not in repr(ring) + repr(ring.keys[0]) + repr(ConfiguredKey("sk-secret"))


def test_a_declared_shared_account_covers_every_key():
    ring = Keyring.from_sources(OPENAI, {"OPENAI_KEYS": "a,b"}, [ConfiguredKey("c", "own")], shared_account="org")

    assert [key.account for key in ring.keys] == ["org", "org", "own"]


def test_the_fingerprint_is_stable_and_tells_keys_apart():
    first = Keyring.from_sources(OPENAI, {"OPENAI_KEYS": "a,b"}).keys
    again = Keyring.from_sources(OPENAI, {}, ["b"]).keys

    assert first[1].fingerprint == again[0].fingerprint != first[0].fingerprint


def test_the_systems_keyring_is_asked_only_when_nothing_else_has_a_key():
    asked: list[str] = []

    def system(provider: str) -> str:
        asked.append(provider)
        return "from-the-system"

    with_variable = Keyring.find(OPENAI, Settings(), {"OPENAI_API_KEY": "mine"}, system)
    with_settings = Keyring.find(OPENAI, Settings(providers={"openai": ProviderSettings(keys="set")}), {}, system)
    without_need = Keyring.find(replace(OPENAI, needs_key=False), Settings(), {}, system)
    assert not asked
    last = Keyring.find(OPENAI, Settings(), {"OPENAI_API_KEY": "not a key"}, system)

    sources = [[key.source for key in ring.keys] for ring in (with_variable, with_settings, without_need, last)]
    assert sources == [["OPENAI_API_KEY"], ["settings"], [], ["system keyring"]]
    assert last.notes == ("OPENAI_API_KEY: an entry with blanks or control characters was left out.",)
