"""TeX formulas as a person would type them: `\\frac{a}{b} \\le \\alpha^2` becomes `a/b ≤ α²`.

A terminal cannot set formulas, but most of what models write becomes readable with Unicode. What is not known stays as
it is, so nothing of the formula is lost; the source remains what is copied.
"""

from __future__ import annotations

import re
from functools import lru_cache

_NAMES = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "varepsilon": "ε", "zeta": "ζ", "eta": "η",
    "theta": "θ", "vartheta": "ϑ", "iota": "ι", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π",
    "rho": "ρ", "sigma": "σ", "tau": "τ", "upsilon": "υ", "phi": "φ", "varphi": "φ", "chi": "χ", "psi": "ψ",
    "omega": "ω", "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ", "Xi": "Ξ", "Pi": "Π", "Sigma": "Σ",
    "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω", "infty": "∞", "partial": "∂", "nabla": "∇", "hbar": "ℏ", "ell": "ℓ",
    "emptyset": "∅", "varnothing": "∅", "aleph": "ℵ", "Re": "ℜ", "Im": "ℑ", "angle": "∠", "degree": "°",
    "cdot": "·", "times": "×", "div": "÷", "pm": "±", "mp": "∓", "ast": "∗", "star": "⋆", "circ": "∘", "bullet": "•",
    "oplus": "⊕", "otimes": "⊗", "odot": "⊙", "wedge": "∧", "land": "∧", "vee": "∨", "lor": "∨", "cap": "∩",
    "cup": "∪", "setminus": "∖", "neg": "¬", "lnot": "¬", "forall": "∀", "exists": "∃", "nexists": "∄",
    "le": "≤", "leq": "≤", "leqslant": "≤", "ge": "≥", "geq": "≥", "geqslant": "≥", "ne": "≠", "neq": "≠",
    "ll": "≪", "gg": "≫", "approx": "≈", "sim": "∼", "simeq": "≃", "cong": "≅", "equiv": "≡", "propto": "∝",
    "in": "∈", "notin": "∉", "ni": "∋", "subset": "⊂", "subseteq": "⊆", "supset": "⊃", "supseteq": "⊇",
    "perp": "⊥", "parallel": "∥", "mid": "|", "vdash": "⊢", "models": "⊨", "top": "⊤", "bot": "⊥",
    "to": "→", "rightarrow": "→", "longrightarrow": "⟶", "leftarrow": "←", "gets": "←", "leftrightarrow": "↔",
    "Rightarrow": "⇒", "implies": "⇒", "Longrightarrow": "⟹", "Leftarrow": "⇐", "Leftrightarrow": "⇔", "iff": "⇔",
    "mapsto": "↦", "uparrow": "↑", "downarrow": "↓", "sum": "∑", "prod": "∏", "int": "∫", "iint": "∬", "oint": "∮",
    "bigcup": "⋃", "bigcap": "⋂", "langle": "⟨", "rangle": "⟩", "lfloor": "⌊", "rfloor": "⌋", "lceil": "⌈",
    "rceil": "⌉", "ldots": "…", "cdots": "⋯", "dots": "…", "vdots": "⋮", "ddots": "⋱", "therefore": "∴",
    "because": "∵", "quad": "  ", "qquad": "    ", "prime": "′", "dagger": "†", "checkmark": "✓", "square": "□",
    "Vert": "‖", "vert": "|", "lVert": "‖", "rVert": "‖", "lvert": "|", "rvert": "|", "lbrace": "{", "rbrace": "}",
}  # fmt: skip
_FUNCTIONS = frozenset(
    (
        "arccos",
        "arcsin",
        "arctan",
        "arg",
        "argmax",
        "argmin",
        "cos",
        "cosh",
        "cot",
        "csc",
        "deg",
        "det",
        "dim",
        "exp",
        "gcd",
        "hom",
        "inf",
        "ker",
        "lg",
        "lim",
        "liminf",
        "limsup",
        "ln",
        "log",
        "max",
        "min",
        "mod",
        "Pr",
        "sec",
        "sin",
        "sinh",
        "sup",
        "tan",
        "tanh",
    )
)
_SILENT = frozenset(
    (
        "left",
        "right",
        "big",
        "Big",
        "bigg",
        "Bigg",
        "bigl",
        "bigr",
        "Bigl",
        "Bigr",
        "displaystyle",
        "textstyle",
        "limits",
        "nolimits",
    )
)
_BLACKBOARD = {"R": "ℝ", "N": "ℕ", "Z": "ℤ", "Q": "ℚ", "C": "ℂ", "P": "ℙ", "E": "𝔼", "H": "ℍ", "F": "𝔽", "1": "𝟙"}
_ACCENTS = {"hat": "\u0302", "bar": "\u0304", "overline": "\u0304", "tilde": "\u0303", "vec": "\u20d7", "dot": "\u0307"}
_TEXT = frozenset(
    (
        "text",
        "textbf",
        "textit",
        "textrm",
        "mathrm",
        "mathbf",
        "mathit",
        "mathsf",
        "mathcal",
        "operatorname",
        "boldsymbol",
        "bm",
        "mbox",
    )
)

_SUPERSCRIPT = str.maketrans("0123456789+-=()ni*′", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱ*′")
_SUBSCRIPT = str.maketrans("0123456789+-=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ")
_RAISABLE = frozenset("0123456789+-=()ni*′")
_LOWERABLE = frozenset("0123456789+-=()aehijklmnoprstuvx")

_TOKEN = re.compile(r"\\([A-Za-z]+)\*?[ \t]*|\\(.)|([{}^_&~])|(\s+)|([^\\{}^_&~\s]+)", re.DOTALL)
_DEEPEST = 12
"""Nesting that is still followed; formulas have two or three levels."""


@lru_cache(maxsize=1024)
def readable(tex: str) -> str:
    """`tex` (without its delimiters) in plain Unicode; unknown commands keep their name and backslash."""
    return re.sub(r"[ \t]+", " ", _Reader(tex).group(0)).strip()


class _Reader:
    """One pass over the formula's tokens."""

    def __init__(self, tex: str) -> None:
        self._tokens = [(found.lastindex or 0, found[found.lastindex or 0]) for found in _TOKEN.finditer(tex)]
        self._next = 0

    def group(self, depth: int) -> str:
        """Everything up to the closing brace of the group that was just entered, or to the end."""
        parts: list[str] = []
        while self._next < len(self._tokens):
            kind, text = self._tokens[self._next]
            if kind == 3 and text == "}":
                self._next += 1
                if depth:
                    break
                parts.append("}")
                continue
            parts.append(self._one(depth))
        return "".join(parts)

    def _one(self, depth: int) -> str:
        """The next token with the arguments it takes."""
        if self._next >= len(self._tokens):
            return ""
        kind, text = self._tokens[self._next]
        self._next += 1
        match kind, text:
            case 1, name:
                return self._command(name, depth)
            case 2, ("\\" | "\n"):
                return "\n"
            case 2, ("," | ";" | ":" | "!" | " "):
                return "" if text == "!" else " "
            case 3, "{":
                return self.group(depth + 1) if depth < _DEEPEST else "{"
            case 3, ("^" | "_"):
                return self._script(text, self._argument(depth))
            case 3, ("&" | "~"):
                return " "
            case 4, _:
                return "\n" if "\n" in text else " "
        return text

    def _argument(self, depth: int) -> str:
        """A braced group, a command, or (as in TeX) a single character."""
        while self._next < len(self._tokens) and self._tokens[self._next][0] == 4:
            self._next += 1
        if self._next < len(self._tokens):
            kind, text = self._tokens[self._next]
            if kind == 5 and len(text) > 1:
                self._tokens[self._next] = (5, text[1:])
                return text[0]
        return self._one(depth)

    def _command(self, name: str, depth: int) -> str:
        if name in _NAMES:
            symbol = _NAMES[name]
            return f" {symbol} " if symbol in "∈∉⊂⊆⊃⊇≤≥≠≪≫≈∼≃≅≡∝→←↔⇒⇐⇔↦⟶⟹∧∨∪∩×÷±∓⊕⊗" else symbol
        if name in _FUNCTIONS:
            return f"{name} "
        if name in _SILENT:
            return self._bracket()
        if name in ("frac", "dfrac", "tfrac"):
            return f"{_operand(self._argument(depth))}/{_operand(self._argument(depth))}"
        if name == "sqrt":
            return f"√{_operand(self._argument(depth))}"
        if name == "binom":
            return f"C({self._argument(depth)}, {self._argument(depth)})"
        if name == "mathbb":
            letter = self._argument(depth)
            return _BLACKBOARD.get(letter, letter)
        if name in _ACCENTS:
            letter = self._argument(depth)
            return letter + _ACCENTS[name] if len(letter) == 1 else letter
        if name in _TEXT:
            return self._argument(depth)
        if name in ("begin", "end"):
            self._argument(depth)
            return ""
        return self._unknown(name, depth)

    def _unknown(self, name: str, depth: int) -> str:
        """A command as it was written, with its braced arguments."""
        text = f"\\{name}"
        while self._next < len(self._tokens) and self._tokens[self._next] == (3, "{"):
            text += f"{{{self._argument(depth)}}}"
        return text if text.endswith("}") else f"{text} "

    def _bracket(self) -> str:
        """`\\left.` and `\\right.` are invisible; any other bracket after them is ordinary."""
        if self._next < len(self._tokens):
            kind, text = self._tokens[self._next]
            if kind == 5 and text[0] == ".":
                self._tokens[self._next] = (5, text[1:])
        return ""

    @staticmethod
    def _script(mark: str, text: str) -> str:
        text = text.strip()
        if mark == "^" and text in ("∘", "°"):
            return "°"
        able, table = (_RAISABLE, _SUPERSCRIPT) if mark == "^" else (_LOWERABLE, _SUBSCRIPT)
        if text and able.issuperset(text):
            return text.translate(table)
        return f"{mark}{text}" if len(text) == 1 else f"{mark}({text})"


def _operand(text: str) -> str:
    """In brackets, unless it is one number, name or symbol."""
    text = text.strip()
    return text if re.fullmatch(r"\w+|[^\w\s]|\w[⁰-ₓ²³¹]+", text) else f"({text})"
