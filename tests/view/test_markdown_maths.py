from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.tui.markdown.maths import readable


@pytest.mark.parametrize(
    ("tex", "text"),
    [
        (r"E = mc^2", "E = mc²"),
        (r"\frac{a+b}{2} \le \alpha^2", "(a+b)/2 ≤ α²"),
        (r"\beta_{ij}", "βᵢⱼ"),
        (r"\sum_{i=1}^{n} x_i", "∑ᵢ₌₁ⁿ xᵢ"),
        (r"\sqrt{x^2+y^2}", "√(x²+y²)"),
        (r"\sqrt 2", "√2"),
        (r"\mathbb{R}^n \to \mathbb{R}", "ℝⁿ → ℝ"),
        (r"\left( \frac{1}{n} \right)", "( 1/n )"),
        (r"\left. f \right|", "f |"),
        (r"90^\circ", "90°"),
        (r"x \in A \text{ if } y", "x ∈ A if y"),
        (r"e^{-x^2}", "e^(-x²)"),
        (r"\hat{y}", "y\u0302"),
        (r"\begin{aligned} a &= b \\ c &= d \end{aligned}", "a = b \n c = d"),
        (r"\unknown{x} + \also", r"\unknown{x} + \also"),
        (r"\log n!", "log n!"),
        (r"50\%", "50%"),
        ("{" * 40, "{" * 28),
    ],
)
def test_formulas_become_readable(tex, text):
    assert readable(tex) == text


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab12\\{}^_&~$ \nfrac", max_size=40))
def test_any_text_is_read_without_failing(tex):
    assert isinstance(readable(tex), str)
