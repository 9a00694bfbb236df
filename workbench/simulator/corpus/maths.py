"""Sums that the simulated models really do: arithmetic and quadratic equations, with the steps written out."""

from __future__ import annotations

import ast
import math
import operator
import random
import re
from collections.abc import Callable
from fractions import Fraction

_EXPRESSION = re.compile(r"[\d(][\d\s.,()+\-*/×÷^%]*[\d)]")
_QUADRATIC = re.compile(
    r"(?P<a>[+-]?\s*\d*)\s*\*?\s*x\s*(?:\^|\*\*)?\s*[2²]\s*(?P<b>[+-]\s*\d*)\s*\*?\s*x\s*(?P<c>[+-]\s*\d+)?\s*=\s*0",
    re.IGNORECASE,
)
_OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
MAX_DIGITS = 60


def solve(text: str, rng: random.Random) -> list[str] | None:
    """Blocks of an answer; None if there is nothing here to calculate."""
    return _letters(text) or _quadratic(text) or _arithmetic(text, rng)


def _letters(text: str) -> list[str] | None:
    match = re.search(
        (
            r"how many (?:letters? )?[\"'“‘]?([a-z])[\"'”’]?(?:['’]?s)?\s+(?:are there |are )?in (?:the word "
            r")?[\"'“‘]?([a-z]{3,})"
        ),
        text,
        re.IGNORECASE,
    )
    if match is None:
        return None
    letter, word = match[1].lower(), match[2]
    places = [index for index, found in enumerate(word.lower(), 1) if found == letter]
    spelled = " ".join(f"**{c}**" if c.lower() == letter else c for c in word)
    where = f" (place{'s' if len(places) > 1 else ''} {', '.join(map(str, places))})" if places else ""
    return ["Spelling it out:", spelled, f"That makes **{len(places)}** times “{letter}” in “{word}”{where}."]


def _arithmetic(text: str, rng: random.Random) -> list[str] | None:
    for match in _EXPRESSION.finditer(text):
        shown = " ".join(match[0].split())
        steps: list[tuple[str, str]] = []
        plain = shown.replace("×", "*").replace("÷", "/").replace("^", "**").replace(",", "")
        try:
            value = _value(ast.parse(plain, mode="eval").body, steps)
        except (SyntaxError, ValueError, ZeroDivisionError, OverflowError):
            continue
        if not steps:
            continue
        lines = [f"{number}. ${left} = {right}$" for number, (left, right) in enumerate(steps, 1)]
        opener = rng.choice(("Working from the inside out:", "Step by step:", "In order of precedence:"))
        check = rng.choice(
            (
                "A quick estimate with rounded numbers lands close by, so the result is plausible.",
                "Doing it in the opposite order gives the same value, as it should.",
            )
        )
        return [opener, "\n".join(lines), f"**{shown} = {_shown(value)}**", check]
    return None


def _value(node: ast.expr, steps: list[tuple[str, str]]) -> Fraction:
    match node:
        case ast.Constant(value=int() | float() as number):
            return Fraction(str(number))
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_value(inner, steps)
        case ast.BinOp(left=left_node, op=ast.Pow(), right=right_node):
            left, right = _value(left_node, steps), _value(right_node, steps)
            if right.denominator != 1 or abs(right) > 64 or abs(left) > 10**6:
                raise ValueError("too large a power to write out")
            value = left ** int(right)
            sign = f"{_shown(left)}^{{{_shown(right)}}}"
        case ast.BinOp(left=left_node, op=operation, right=right_node) if type(operation) in _OPERATORS:
            left, right = _value(left_node, steps), _value(right_node, steps)
            value = _OPERATORS[type(operation)](left, right)
            symbol = {ast.Add: "+", ast.Sub: "-", ast.Mult: r"\times", ast.Div: r"\div"}[type(operation)]
            sign = f"{_shown(left)} {symbol} {_shown(right)}"
        case _:
            raise ValueError("not arithmetic")
    if len(str(value)) > MAX_DIGITS:
        raise ValueError("too long to write out")
    steps.append((sign, _shown(value)))
    return value


def _shown(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value.numerator)
    decimal = f"{float(value):.6g}"
    return decimal if Fraction(decimal) == value else f"{value.numerator}/{value.denominator} \\approx {decimal}"


def _coefficient(text: str | None, absent: int) -> int:
    digits = (text or "").replace(" ", "")
    if digits in ("", "+"):
        return absent
    return -absent if digits == "-" else int(digits)


def _quadratic(text: str) -> list[str] | None:
    match = _QUADRATIC.search(text)
    if match is None:
        return None
    a, b = _coefficient(match["a"], 1), _coefficient(match["b"], 1)
    c = _coefficient(match["c"], 0)
    if a == 0:
        return None
    under = b * b - 4 * a * c
    blocks = [
        "Use the quadratic formula:",
        r"$$ x = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a} $$",
        (
            f"Here $a = {a}$, $b = {b}$ and $c = {c}$, so the discriminant is $({b})^2 - 4 \\cdot {a} \\cdot "
            f"{c} = {under}$."
        ),
    ]
    if under < 0:
        return [
            *blocks,
            f"It is negative: there are no real solutions, but two complex ones, ${_complex(a, b, under)}$.",
        ]
    root = math.isqrt(under)
    if root * root == under:
        first, second = Fraction(-b + root, 2 * a), Fraction(-b - root, 2 * a)
        found = (
            f"**$x = {_shown(first)}$**"
            if root == 0
            else f"**$x_1 = {_shown(first)}$** and **$x_2 = {_shown(second)}$**"
        )
        return [
            *blocks,
            f"Its root is ${root}$, which gives {found}.",
            "Putting them back into the equation gives $0$. ✓",
        ]
    low, high = sorted(((-b - math.sqrt(under)) / (2 * a), (-b + math.sqrt(under)) / (2 * a)))
    return [*blocks, f"It is no perfect square, so $x \\approx {low:.4f}$ or $x \\approx {high:.4f}$."]


def _complex(a: int, b: int, under: int) -> str:
    real = Fraction(-b, 2 * a)
    return rf"{_shown(real)} \pm \frac{{\sqrt{{{-under}}}}}{{{abs(2 * a)}}}\,i"
