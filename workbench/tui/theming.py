"""Themes as TOML files: the app's own beside Textual's, and a person's own beside both.

A file has a name, Textual's base colours, and two ramps of ours: `lanes` (one colour per target) and `gauge` (from calm
to critical). Themes that know nothing of ours get ramps made of their base colours, so every theme works everywhere. A
file that is wrong becomes a `ThemeProblem` that says where; the others load.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from textual.color import Color, ColorParseError
from textual.theme import Theme

from workbench.session.targets import ACCENTS

GAUGE_STEPS = 5
DEFAULT_THEME = "workbench-dark"

_COLOURS = frozenset(
    {"primary", "secondary", "warning", "error", "success", "accent"}
    | {"foreground", "background", "surface", "panel", "boost"}
)
_OTHER = frozenset({"name", "dark", "lanes", "gauge", "variables", "luminosity_spread", "text_alpha"})

_ANSI_LANES = ("cyan", "magenta", "yellow", "green", "blue", "red", "bright_cyan", "bright_magenta")
_ANSI_GAUGE = ("green", "green", "yellow", "yellow", "red")


class ThemeError(ValueError):
    """What is wrong with a theme file, and what was expected."""


@dataclass(frozen=True, slots=True)
class ThemeProblem:
    path: Path
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def shipped_themes() -> Path:
    """The directory of the app's own themes: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "themes"
    return installed if installed.is_dir() else package.parent / "themes"


def load_themes(directories: Iterable[Path]) -> tuple[list[Theme], list[ThemeProblem]]:
    """Every theme of every `*.toml` in these directories, by name; a later one replaces an earlier one of its name."""
    themes: dict[str, Theme] = {}
    problems: list[ThemeProblem] = []
    for directory in directories:
        for path in sorted(directory.glob("*.toml")):
            try:
                theme = theme_from(path.read_text(encoding="utf-8"), path.stem)
            except (OSError, UnicodeDecodeError, ValueError) as error:
                problems.append(ThemeProblem(path, str(error)))
            else:
                themes[theme.name] = theme
    return list(themes.values()), problems


def theme_from(text: str, default_name: str) -> Theme:
    """One theme from TOML. Raises ThemeError that names the key and what was expected."""
    values = tomllib.loads(text)
    for key in values:
        if key not in _COLOURS | _OTHER:
            known = ", ".join(sorted(_COLOURS | _OTHER))
            raise ThemeError(f"{key}: no such setting; known are {known}.")
    if "primary" not in values:
        raise ThemeError("primary: missing; it is the one colour that a theme must have.")
    colours = {key: _colour(key, values[key]) for key in _COLOURS & values.keys()}
    variables = {str(key): _variable(str(key), value) for key, value in _table(values, "variables").items()}
    variables |= _ramp("lane", values.get("lanes"), ACCENTS) | _ramp("gauge", values.get("gauge"), GAUGE_STEPS)
    dark = values.get("dark", True)
    if not isinstance(dark, bool):
        raise ThemeError(f"dark: expected true or false, not {dark!r}.")
    return Theme(
        name=str(values.get("name", default_name)),
        primary=colours["primary"],
        secondary=colours.get("secondary"),
        warning=colours.get("warning"),
        error=colours.get("error"),
        success=colours.get("success"),
        accent=colours.get("accent"),
        foreground=colours.get("foreground"),
        background=colours.get("background"),
        surface=colours.get("surface"),
        panel=colours.get("panel"),
        boost=colours.get("boost"),
        dark=dark,
        luminosity_spread=_number(values, "luminosity_spread", 0.15),
        text_alpha=_number(values, "text_alpha", 0.95),
        variables=variables,
    )


def ramp_defaults(theme: Theme) -> dict[str, str]:
    """`lane-1` … and `gauge-1` … for a theme that does not define them."""
    if theme.ansi:
        lanes = [f"ansi_{name}" for name in _ANSI_LANES]
        gauge = [f"ansi_{name}" for name in _ANSI_GAUGE]
    else:
        base = theme.to_color_system()
        chosen = [base.primary, base.accent, base.success, base.warning, base.secondary, base.error]
        known = [colour for colour in chosen if colour is not None]
        # Two more, half way between neighbours, for line-ups that are longer than a theme has colours.
        mixed = [*known, *(a.blend(b, 0.5) for a, b in pairwise(known))]
        lanes = [mixed[index % len(mixed)].hex for index in range(ACCENTS)]
        calm, careful, critical = (colour or base.primary for colour in (base.success, base.warning, base.error))
        gauge = [
            calm.hex,
            calm.blend(careful, 0.5).hex,
            careful.hex,
            careful.blend(critical, 0.5).hex,
            critical.hex,
        ]
    return {f"lane-{index}": colour for index, colour in enumerate(lanes, 1)} | {
        f"gauge-{index}": colour for index, colour in enumerate(gauge, 1)
    }


def _colour(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise ThemeError(f'{key}: expected a colour such as "#7aa2f7", not {value!r}.')
    try:
        Color.parse(value)
    except ColorParseError:
        raise ThemeError(f'{key}: {value!r} is not a colour; write "#rrggbb" or a CSS colour name.') from None
    return value


def _variable(key: str, value: object) -> str:
    """A Textual variable: a text style, or a colour with perhaps an opacity after it (`#1f66b5 22%`)."""
    if not isinstance(value, str):
        raise ThemeError(f"variables.{key}: expected text, not {value!r}.")
    if not key.endswith("-style"):
        _colour(f"variables.{key}", value.partition(" ")[0])
    return value


def _ramp(name: str, value: object, length: int) -> dict[str, str]:
    if value is None:
        return {}
    key = f"{name}s" if name == "lane" else name
    if not isinstance(value, list) or len(value) != length:
        raise ThemeError(f"{key}: expected a list of {length} colours.")
    return {f"{name}-{index}": _colour(f"{key}[{index}]", colour) for index, colour in enumerate(value, 1)}


def _table(values: Mapping[str, object], key: str) -> Mapping[str, object]:
    table = values.get(key, {})
    if not isinstance(table, dict):
        raise ThemeError(f"{key}: expected a table of names and values.")
    return table


def _number(values: Mapping[str, object], key: str, default: float) -> float:
    value = values.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ThemeError(f"{key}: expected a number, not {value!r}.")
    return float(value)
