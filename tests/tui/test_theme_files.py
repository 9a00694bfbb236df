"""Theme files: ours are complete and readable, a person's own load beside them, a broken one says what is wrong."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme

from workbench.tui.theming import GAUGE_STEPS, load_themes, ramp_defaults, shipped_themes, theme_from

OURS, PROBLEMS = load_themes([shipped_themes()])


def luminance(colour: Color) -> float:
    """WCAG 2 relative luminance."""
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in colour.normalized]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Color, other: Color) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_there_is_a_dark_and_a_light_theme_of_our_own() -> None:
    assert PROBLEMS == []
    assert {(theme.name, theme.dark) for theme in OURS} >= {("workbench-dark", True), ("workbench-light", False)}


@pytest.mark.parametrize("theme", OURS, ids=lambda theme: theme.name)
def test_every_colour_that_carries_words_can_be_read(theme: Theme) -> None:
    """WCAG AA for text, 4.5 to 1, on every surface that it stands on."""
    words = [theme.foreground, *(theme.variables[f"lane-{n}"] for n in range(1, 9))]
    words += [theme.variables[f"gauge-{n}"] for n in range(1, GAUGE_STEPS + 1)]
    for surface in (theme.background, theme.surface):
        for word in words:
            ratio = contrast(Color.parse(str(word)), Color.parse(str(surface)))
            assert ratio >= 4.5, f"{word} on {surface}: {ratio:.2f}"


@pytest.mark.parametrize("theme", OURS, ids=lambda theme: theme.name)
def test_lane_colours_can_be_told_apart(theme: Theme) -> None:
    lanes = [Color.parse(theme.variables[f"lane-{n}"]) for n in range(1, 9)]
    for one, other in combinations(lanes, 2):
        distance = sum((a - b) ** 2 for a, b in zip(one.rgb, other.rgb, strict=True)) ** 0.5
        assert distance > 35, f"{one.hex} and {other.hex}"


@pytest.mark.parametrize("theme", BUILTIN_THEMES.values(), ids=lambda theme: theme.name)
def test_a_theme_that_knows_nothing_of_ours_gets_ramps_all_the_same(theme: Theme) -> None:
    ramps = ramp_defaults(theme)

    assert len(ramps) == 8 + GAUGE_STEPS
    for colour in ramps.values():
        Color.parse(colour)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "primary: missing"),
        ('primary = "#12"', "primary: '#12' is not a colour"),
        ("primary = 3", "primary: expected a colour"),
        ('primary = "red"\nprimry = "blue"', "primry: no such setting"),
        ('primary = "red"\nlanes = ["red"]', "lanes: expected a list of 8"),
        ('primary = "red"\ngauge = ["red", "red", "red", "red", "nope"]', r"gauge\[5\]: 'nope'"),
        ('primary = "red"\ndark = "yes"', "dark: expected true or false"),
        ('primary = "red"\nluminosity_spread = "wide"', "luminosity_spread: expected a number"),
        ('primary = "red"\nvariables = 3', "variables: expected a table"),
        ('primary = "red"\n[variables]\nborder = "bleu"', "variables.border: 'bleu' is not a colour"),
        ("primary = ", "Invalid value"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        theme_from(text, "mine")


def test_a_broken_file_does_not_keep_the_others_from_loading(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("primary = ")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "fine.toml").write_text('primary = "#abcdef"\n[variables]\nborder = "#abcdef 40%"')

    themes, problems = load_themes([tmp_path])

    assert [theme.name for theme in themes] == ["fine"]
    assert sorted(problem.path.name for problem in problems) == ["binary.toml", "broken.toml"]


def test_a_persons_theme_replaces_ours_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('name = "workbench-dark"\nprimary = "#abcdef"')

    themes, _ = load_themes([shipped_themes(), tmp_path])

    assert {theme.name: theme.primary for theme in themes}["workbench-dark"] == "#abcdef"


def test_a_missing_folder_has_no_themes(tmp_path: Path) -> None:
    assert load_themes([tmp_path / "nowhere"]) == ([], [])
