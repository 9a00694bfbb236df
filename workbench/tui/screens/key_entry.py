"""Paste a provider's key: masked, kept in a private file, tried at once.

Dismissed with the provider and the key; keeping and trying it is the app's affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Select, Static

from workbench.session.model_directory import ProviderState

# How keys begin, longest first where one beginning is part of another. Together's and some others begin with nothing.
_BEGINNINGS = (
    ("sk-ant-", "anthropic"),
    ("sk-or-", "openrouter"),
    ("gsk_", "groq"),
    ("AIza", "gemini"),
    ("xai-", "xai"),
    ("sk-", "openai"),
)


def provider_of_key(secret: str) -> str | None:
    """Whose key this looks like; None when its beginning says nothing."""
    return next((provider for beginning, provider in _BEGINNINGS if secret.startswith(beginning)), None)


class KeyEntry(ModalScreen[tuple[str, str]]):
    CSS_PATH = "../styles/dialogs.tcss"

    HELP = """
    # A key

    It is written to `keys.toml` in the settings directory, which only you can read, and never shown again: everywhere
    else a key is called by its alias, such as `openai#1`. Variables such as `OPENAI_API_KEY` work as well.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "Cancel", id="key.cancel")]

    def __init__(self, providers: Sequence[ProviderState], provider: str = "") -> None:
        super().__init__()
        self._providers = [state for state in providers if state.key_variable]
        self._provider = provider if any(state.name == provider for state in self._providers) else ""
        self._chosen_by_hand = bool(self._provider)

    def compose(self) -> ComposeResult:
        choices = [(state.title, state.name) for state in self._providers]
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = "Paste a key"
            with Horizontal(classes="field"):
                yield Static("key", classes="field-name", markup=False)
                yield Input(password=True, placeholder="paste it here", id="secret", compact=True)
            with Horizontal(classes="field"):
                yield Static("provider", classes="field-name", markup=False)
                yield Select(choices, value=self._provider or Select.NULL, id="provider", compact=True)
            yield Static("", id="key-error", markup=False)
            yield Static(
                "enter tries and keeps it, for your eyes only · esc leaves it",
                classes="dialog-hint",
                markup=False,
            )

    def on_mount(self) -> None:
        self.query_one("#secret", Input).focus()

    @on(Input.Changed, "#secret")
    def _guess(self, event: Input.Changed) -> None:
        guess = provider_of_key(event.value.strip())
        select = self.query_one("#provider", Select)
        if guess is not None and not self._chosen_by_hand and any(state.name == guess for state in self._providers):
            select.value = guess

    @on(Input.Submitted, "#secret")
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        secret = event.value.strip()
        provider = self.query_one("#provider", Select).value
        if not secret:
            self._complain("Paste the key first.")
        elif not (secret.isascii() and secret.isprintable()) or " " in secret:
            self._complain("This has blanks or control characters in it, so it cannot be a key.")
        elif not isinstance(provider, str):
            self._complain("Whose key is it? Choose the provider below.")
        else:
            self.dismiss((provider, secret))

    def _complain(self, text: str) -> None:
        self.query_one("#key-error", Static).update(text)
