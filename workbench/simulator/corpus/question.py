"""What kind of question is being asked, and about what. Pattern matching, no more: answers only have to look alive."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache


class Kind(StrEnum):
    GREETING = "greeting"
    CODE = "code"
    COMPARE = "compare"
    LIST = "list"
    STEPS = "steps"
    MATHS = "maths"
    TRANSLATE = "translate"
    CREATIVE = "creative"
    SUMMARY = "summary"
    EXPLAIN = "explain"


@dataclass(frozen=True, slots=True)
class Question:
    kind: Kind
    subject: str
    """A noun phrase from the question itself, in its own spelling."""
    other: str = ""
    """What the subject is compared with."""
    count: int = 0
    """How many items were asked for; 0 when nobody said."""
    language: str = ""
    """Programming language, if one is named."""
    brief: bool = False
    words: int = 0
    """Length asked for, in words; 0 when nobody said."""
    text: str = ""


_STOP = frozenset(
    """
    a about again all also always am an and any anybody are as asked at be because been best better between both
    briefly but by can code compare cons could describe detail detailed did difference differences discuss do does
    doing draft each easily essay ever every example examples explain faster few find five for four from function
    generate get give good great grow had haiku happen has have help her him his how i if imagine important in into
    is it its joke just know let letter like limerick list make many me might mine more most much my need nine of on
    one only or our out outline over paragraph paragraphs plan please poem possible program pros really recommend
    same script sentence sentences seven shall she short should show simple simply six slogan so solve some song
    story such suggest summarise summarize tagline tale tell ten than that the their them then there these they
    thing things think this those three through to top translate two under understand up us use used using versus
    very vs want was way ways we well were what whats when where which while who why will with without word words
    works worse would write you your
    """.split()  # noqa: SIM905 - a block of words reads better than a column of them
)
_WORD = re.compile(r"[^\W_][\w'’+#.-]*[\w+#]|[^\W_]")
_NUMBERS = dict(
    zip(
        ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve"],
        (*range(1, 11), 12),
        strict=True,
    )
)
_LANGUAGES = {
    "python": ("python", "asyncio", "django", "pandas", "numpy"),
    "rust": ("rust", "cargo", "tokio"),
    "typescript": ("typescript", "javascript", "node", "react", "js", "ts"),
    "go": ("golang", "goroutine", "goroutines"),
    "sql": ("sql", "postgres", "postgresql", "sqlite", "query"),
    "bash": ("bash", "shell", "sh", "awk", "sed"),
    "c": ("c",),
    "java": ("java", "kotlin"),
    "haskell": ("haskell",),
}
_CODE = re.compile(
    r"\b(code|function|program|script|implement|snippet|regex|algorithm in|class that|unit "
    r"tests?|refactor|debug|bug in)\b"
    r"|```|\bin (python|rust|go|golang|typescript|javascript|sql|bash|java|haskell|c)\b",
    re.IGNORECASE,
)
_COMPARE = re.compile(
    (
        r"\b(compare|comparison|versus|vs\.?|differences? between|differs?|pros and "
        r"cons|trade-?offs?)\b|\bbetter\b.*\b(or|than)\b"
    ),
    re.IGNORECASE,
)
_SEPARATORS = (
    re.compile(r"\s+(?:vs\.?|versus)\s+", re.IGNORECASE),
    re.compile(r"(?<=\w)\s+(?:or|than)\s+", re.IGNORECASE),
    re.compile(r"(?<=\w)\s+(?:and|with|to)\s+", re.IGNORECASE),
)
_LIST = re.compile(
    r"\b(list|ideas|examples|reasons|ways|tips|benefits|advantages|name (?:some|\w+)|top \w+|which)\b", re.IGNORECASE
)
_STEPS = re.compile(
    r"\b(how (?:do|can|should|to)|steps?|guide|recipe|plan|tutorial|walk me|set ?up|checklist)\b", re.IGNORECASE
)
_MATHS = re.compile(
    r"[\d)]\s*[-+*/×÷^]\s*[-(]*\s*\d|\b(solve|derivative|integral|integrate|equation|calculate|compute|prove|theorem|probability|"
    r"square root|factorial|how many|percent)\b|\bx\^?2\b|²",
    re.IGNORECASE,
)
_TRANSLATE = re.compile(r"\b(translate|translation|how do you say|say .{1,40} in)\b", re.IGNORECASE)
_CREATIVE = re.compile(
    r"\b(poem|haiku|story|song|limerick|joke|tagline|slogan|letter|essay|dialogue|tale|lyrics)\b", re.IGNORECASE
)
_SUMMARY = re.compile(r"\b(summari[sz]e|summary|tl;?dr|key points|shorten|abstract)\b", re.IGNORECASE)
_GREETING = re.compile(
    r"^\W*(hi|hello|hey|good (?:morning|evening|day)|thanks|thank you|ping|test)\b[\s\W\w]{0,20}$", re.IGNORECASE
)
_BRIEF = re.compile(
    r"\b(briefly|brief|one sentence|a sentence|one word|single word|in "
    r"short|concise(?:ly)?|tersely|one line|one paragraph|"
    r"yes or no|tl;?dr|just the answer|short answer)\b",
    re.IGNORECASE,
)
_MARK = re.compile(r"\[sim:[^\]]*\]")
_LENGTH = re.compile(
    r"(?:\b(?:in|of|about|around|least|exactly|under)\s+)?\b([\d][\d,. ]*)[\s-]*(words?|tokens?)\b", re.IGNORECASE
)


def words_of(text: str) -> list[str]:
    """Content words, lower case."""
    return [word.lower() for word in _WORD.findall(text) if len(word) > 2 and word.lower() not in _STOP]


@lru_cache(maxsize=1024)
def read(text: str, system: str = "", earlier: str = "") -> Question:
    """`earlier` is what was asked before: what "why?" and "shorter, please" are about."""
    plain = _MARK.sub("", text).strip()
    head = plain[:4_000]
    kind = _kind(head)
    if earlier and len(words_of(head)) < 2 and kind is not Kind.GREETING:
        plain = f"{head}\n{earlier}"
        subject, other = subject_of(earlier), ""
    else:
        subject, other = subject_of(head), ""
    if kind is Kind.COMPARE:
        subject, other = _pair(head, subject)
    return Question(
        kind=kind,
        subject=subject,
        other=other,
        count=_count(head),
        language=_language(head),
        brief=bool(_BRIEF.search(head) or _BRIEF.search(system[:4_000])),
        words=_length(head),
        text=plain,
    )


def _kind(text: str) -> Kind:
    ordered = (
        (Kind.GREETING, _GREETING),
        (Kind.TRANSLATE, _TRANSLATE),
        (Kind.SUMMARY, _SUMMARY),
        (Kind.CREATIVE, _CREATIVE),
        (Kind.CODE, _CODE),
        (Kind.COMPARE, _COMPARE),
        (Kind.MATHS, _MATHS),
        (Kind.STEPS, _STEPS),
        (Kind.LIST, _LIST),
    )
    return next((kind for kind, pattern in ordered if pattern.search(text)), Kind.EXPLAIN)


def subject_of(text: str) -> str:
    """The best single guess at what this is about: content words that stand together, early ones first."""
    line = next((part for part in re.split(r"[\n?!:;]+|(?<=\w)\.\s", text.strip()) if words_of(part)), text.strip())
    runs: list[list[str]] = [[]]
    for token in _TOKEN.findall(line):
        if _is_content(token) and (runs[-1] or not token.isdigit()):
            runs[-1].append(token)
        elif token.lower() in _JOINERS and runs[-1]:
            runs[-1].append(token)  # "a weekend in Kyoto" is one thing
        elif runs[-1]:
            runs.append([])
    best = max(enumerate(runs), key=lambda pair: sum(map(len, pair[1])) * 0.6 ** pair[0])[1][:6]
    while best and (best[-1].lower() in _JOINERS or best[-1].isdigit()):
        best.pop()
    return " ".join(best).strip(" .,'’") or "the question"


_TOKEN = re.compile(r"[^\W_][\w'’+#.-]*[\w+#]|[^\W_]|[^\w\s]")
_JOINERS = frozenset({"in", "of", "for"})


def _is_content(token: str) -> bool:
    usable = len(token) > 2 or token.isupper() or not token.isascii()
    return usable and token[0].isalnum() and token.lower() not in _STOP


def _pair(text: str, fallback: str) -> tuple[str, str]:
    """The two things to compare: what stands right before and right behind the word between them."""
    for separator in _SEPARATORS:
        for line in re.split(r"[\n?!:;]+|(?<=\w)\.\s", text):
            for match in separator.finditer(line):
                first = _edge(reversed(_TOKEN.findall(line[: match.start()])))[::-1]
                second = _edge(_TOKEN.findall(line[match.end() :]))
                if first and second and first != second:
                    return " ".join(first), " ".join(second)
    return fallback, "the usual alternative"


_SKIPPED = frozenset({"the", "a", "an", "better", "worse", "faster", "different", "either", "is"})


def _edge(tokens: Iterable[str]) -> list[str]:
    """Content words from the edge inwards, four at the most."""
    found: list[str] = []
    for token in tokens:
        if not _is_content(token):
            if found or (token.isalpha() and token.lower() not in _SKIPPED):
                break
            continue
        found.append(token)
    return found[:4]


def _count(text: str) -> int:
    match = re.search(
        r"\b(\d{1,2}|" + "|".join(_NUMBERS) + r")\s+(?!words?\b|tokens?\b|sentences?\b)[a-z-]+", text, re.IGNORECASE
    )
    if not match:
        return 0
    number = match[1].lower()
    return min(20, _NUMBERS.get(number) or (int(number) if number.isdigit() else 0))


def _language(text: str) -> str:
    words = {word.lower() for word in re.findall(r"[A-Za-z+#]+", text)}
    if re.search(r"\bin go\b|\bgo (?:code|function|program)\b", text, re.IGNORECASE):
        return "go"
    return next((name for name, hints in _LANGUAGES.items() if _any_of(words, hints)), "")


def _any_of(words: set[str], hints: Iterable[str]) -> bool:
    return any(hint in words for hint in hints)


def _length(text: str) -> int:
    match = _LENGTH.search(text)
    if not match:
        return 0
    digits = re.sub(r"\D", "", match[1])
    number = int(digits) if digits else 0
    words = number * 3 // 4 if match[2].lower().startswith("token") else number
    return words if words >= 10 else 0
