"""What the simulated models say: about the prompt, in their own voice, never twice the same sentence."""

from __future__ import annotations

import json
import random
import re
import sys
import unicodedata
from collections import Counter
from itertools import groupby
from types import ModuleType

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.simulator import corpus
from workbench.simulator.answers import Finish, compose, rng_for
from workbench.simulator.corpus.library import proverbs, tasks, topics
from workbench.simulator.corpus.question import Kind, read
from workbench.simulator.models import Provider, Reasoning, Style, all_models
from workbench.simulator.prompt import Prompt, Turn
from workbench.simulator.schema_values import instance_of
from workbench.simulator.tokens import count_tokens, split_tokens

STYLES = list(Style)


def said(question: str, style: Style = Style.STRUCTURED, tokens: int = 300, seed: int = 1, **context: str) -> str:
    return corpus.write(question, style, tokens, random.Random(seed), **context)


KINDS = [
    ("Explain how an event loop works.", Kind.EXPLAIN, "event loop", ""),
    ("What is the difference between TCP and UDP?", Kind.COMPARE, "TCP", "UDP"),
    ("Is Python better than Rust?", Kind.COMPARE, "Python", "Rust"),
    ("Compare remote work with office work", Kind.COMPARE, "remote work", "office work"),
    ("pros and cons of remote work vs office work", Kind.COMPARE, "remote work", "office work"),
    ("Give me seven ideas for rainy afternoons", Kind.LIST, "ideas for rainy afternoons", ""),
    ("How do I make coffee?", Kind.STEPS, "coffee", ""),
    ("Plan a weekend in Kyoto", Kind.STEPS, "weekend in Kyoto", ""),
    ("Write a function that checks palindromes in Rust", Kind.CODE, "checks palindromes in Rust", ""),
    ("Solve x^2 - 5x + 6 = 0", Kind.MATHS, "", ""),
    ("What is 17 * 23?", Kind.MATHS, "", ""),
    ("Translate 'good morning' into Japanese", Kind.TRANSLATE, "morning", ""),
    ("Write a haiku about monitors", Kind.CREATIVE, "monitors", ""),
    ("Summarise this:\nA long text.", Kind.SUMMARY, "", ""),
    ("hello!", Kind.GREETING, "", ""),
]


@pytest.mark.parametrize(("text", "kind", "subject", "other"), KINDS)
def test_a_question_is_understood_well_enough(text: str, kind: Kind, subject: str, other: str) -> None:
    question = read(text)

    assert question.kind is kind
    assert not subject or question.subject == subject
    assert question.other == other


def test_counts_lengths_languages_and_brevity_are_noticed() -> None:
    assert read("Name 4 rivers, please list them").count == 4
    assert read("Give me seven tips").count == 7
    assert read("Write 3,000 words about bread").words == 3_000
    assert read("in one sentence, what is entropy?").brief
    assert read("What is entropy?", system="Be brief.").brief
    assert read("binary search in Go, as code").language == "go"


@pytest.mark.parametrize("style", STYLES)
def test_every_voice_speaks_about_the_subject(style: Style) -> None:
    answer = said("Tell me about beekeeping in cities", style)

    assert "beekeeping in cities" in answer.lower()


def test_voices_differ() -> None:
    answers = {style: said("Explain how an event loop works.", style) for style in STYLES}

    assert len(set(answers.values())) == len(STYLES)
    assert answers[Style.STRUCTURED].startswith("## ")
    assert "| Model |" in answers[Style.TABULAR]
    assert answers[Style.ACADEMIC].startswith("**Definition.**")
    assert "#" not in answers[Style.PLAIN].split("```")[0]


def test_the_same_goes_in_the_same_comes_out() -> None:
    assert said("Tell me about tulips", seed=3) == said("Tell me about tulips", seed=3)
    assert said("Tell me about tulips", seed=3) != said("Tell me about tulips", seed=4)


def test_the_number_of_items_is_the_one_asked_for() -> None:
    numbered = re.findall(r"^\d+\. ", said("Give me seven tips for better sleep"), re.MULTILINE)

    assert len(numbered) == 7


def test_a_comparison_names_both_and_a_verdict() -> None:
    answer = said("Should I use kayaks or canoes?" + " Compare kayaks and canoes.", Style.TABULAR)

    assert "| Kayaks | Canoes |" in answer
    assert "**Choose Kayaks when**" in answer


@pytest.mark.parametrize("language", ["python", "rust", "go", "typescript", "c"])
def test_code_comes_in_the_language_asked_for(language: str) -> None:
    assert f"```{language}\n" in said(f"Write a binary search function in {language}")


@pytest.mark.parametrize("task", tasks(), ids=lambda task: task.name)
def test_python_in_the_library_compiles(task: object) -> None:
    code = task.code  # type: ignore[attr-defined]  # parametrised with Task

    if "python" in code:
        compile(code["python"], "<corpus>", "exec")


@pytest.mark.parametrize(
    "topic", [topic for topic in topics() if topic.example == "python"], ids=lambda topic: topic.name
)
def test_examples_in_the_library_compile(topic: object) -> None:
    compile(topic.code, "<corpus>", "exec")  # type: ignore[attr-defined]  # parametrised with Topic


def test_invented_code_runs_and_passes_its_own_test(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = said("Write a function to frobnicate widgets", tokens=900)

    code, test = re.findall(r"```python\n(.*?)```", answer, re.DOTALL)[:2]
    module = ModuleType("made_up")
    monkeypatch.setitem(sys.modules, "made_up", module)  # dataclasses look their module up
    exec(compile(code + test, "<made up>", "exec"), vars(module))
    module.test_frobnicate_widgets_puts_the_best_first()


SUMS = [
    ("What is 17 * 23 + 4?", "= 395**"),
    ("Calculate (2 + 3) * 4 - 6 / 4", "= 18.5**"),
    ("compute 2^10", "= 1024**"),
    ("Solve 2x^2 - 7x + 3 = 0", "x_1 = 3"),
    ("Solve x^2 + 1x + 1 = 0", "no real solutions"),
    ("Solve x^2 - 2x + 1 = 0", "**$x = 1$**"),
    ("How many r's are in strawberry?", "**3** times"),
]


@pytest.mark.parametrize(("question", "result"), SUMS)
def test_sums_are_right(question: str, result: str) -> None:
    assert result in said(question)


@given(st.integers(-99, 99), st.integers(-99, 99), st.integers(1, 99))
@settings(max_examples=60)
def test_arithmetic_is_done_exactly(a: int, b: int, c: int) -> None:
    answer = said(f"What is ({a} + {b}) * {c}?")

    assert f"= {(a + b) * c}**" in answer


def test_everyday_phrases_are_translated() -> None:
    answer = said("Translate “good morning” into Japanese, Arabic and Hindi.", Style.TABULAR)

    assert {"おはようございます", "صباح الخير", "सुप्रभात"} <= set(re.findall(r"\| ([^|]+?) \|$", answer, re.MULTILINE))


def test_a_summary_is_made_of_the_text_itself() -> None:
    text = (
        "The lighthouse was built in 1860 on a bare rock. Its keeper rowed out twice a week. Ships still steer by it."
    )

    answer = said(f"Summarize this:\n{text}")

    assert "The lighthouse was built in 1860 on a bare rock." in answer


def test_a_follow_up_is_about_what_was_asked_before() -> None:
    assert "light" in said("why?", earlier="Explain photosynthesis to me").lower()


def test_brevity_is_kept() -> None:
    assert count_tokens(said("In one sentence: what is entropy?")) < 50
    assert count_tokens(said("What is entropy?", system="Answer concisely.")) < 50


@pytest.mark.parametrize("style", STYLES)
def test_a_long_answer_is_long_enough_and_never_repeats_a_sentence(style: Style) -> None:
    answer = said("Write 6000 words about tulips", style, tokens=100)

    sentences = Counter(s.strip(" -.>0123456789") for s in re.split(r"(?<=[.!?])\s+|\n", answer) if len(s) > 25)
    assert len(answer.split()) > 5_000
    assert not [sentence for sentence, times in sentences.items() if times > 1 and "*" not in sentence]


def test_no_event_is_repeated_so_often_that_a_client_would_give_up() -> None:
    tokens = split_tokens(said("Write 3000 words about tulips"))

    longest = max(len(list(run)) for _, run in groupby(tokens))
    assert longest < 5


def test_many_scripts_and_joined_emoji_occur() -> None:
    everything = " ".join(proverb.text for proverb in proverbs()) + said("Translate hello", Style.TABULAR, seed=2)
    everything += "".join(said(f"Explain subject {n}", Style.WARM, seed=n) for n in range(40))

    scripts = {unicodedata.name(char, "CONTROL").split()[0] for char in everything}
    assert {"CJK", "ARABIC", "DEVANAGARI", "CYRILLIC", "HIRAGANA", "HANGUL", "GREEK", "HEBREW", "THAI"} <= scripts
    assert "\u200d" in everything


@given(st.text(max_size=400), st.sampled_from(STYLES), st.integers(1, 600), st.integers(0, 99))
@settings(max_examples=80)
def test_no_prompt_is_too_strange(text: str, style: Style, tokens: int, seed: int) -> None:
    assert said(text, style, tokens, seed).strip()
    assert corpus.think(text, 30, random.Random(seed))
    assert json.dumps(corpus.as_object(text, random.Random(seed)))
    assert corpus.decline(text, random.Random(seed))


@given(st.text(max_size=300))
def test_tokens_join_to_their_text(text: str) -> None:
    tokens = split_tokens(text)

    assert "".join(tokens) == text
    assert all(tokens)


def test_token_counts_are_near_those_of_real_tokenizers() -> None:
    text = "The quick brown fox jumps over the lazy dog, and then it runs away into the deep dark forest."

    assert 19 <= count_tokens(text) <= 24  # 21 with OpenAI's o200k


# --- answers


def prompt_for(name: str, question: str = "Explain how an event loop works.", **options: object) -> Prompt:
    model = next(model for model in all_models() if model.name == name and model.provider is not Provider.LITELLM)
    return Prompt(model=model, system="", turns=(Turn("user", question),), **options)  # type: ignore[arg-type]  # as Prompt has them


@given(
    limit=st.integers(1, 900),
    seed=st.integers(0, 30),
    effort=st.sampled_from(["none", "low", "medium", "high", "xhigh"]),
)
@settings(max_examples=60)
def test_an_answer_never_exceeds_its_limit(limit: int, seed: int, effort: str) -> None:
    answer = compose(prompt_for("gpt-5.4", max_tokens=limit, effort=effort), random.Random(seed))

    assert 0 < answer.output_tokens <= limit
    assert (answer.finish is Finish.LENGTH) >= (answer.output_tokens < limit and not answer.text)


def test_more_effort_is_more_reasoning() -> None:
    def thought(effort: str) -> float:
        return sum(
            len(compose(prompt_for("gpt-5.4", effort=effort), random.Random(n)).reasoning) for n in range(20)
        ) / 20  # fmt: skip

    lengths = [thought(effort) for effort in ("none", "low", "medium", "high", "xhigh")]
    assert lengths == sorted(lengths)
    assert lengths[0] == 0


def test_an_answer_is_a_function_of_seed_model_prompt_and_sample() -> None:
    def text(*parts: object) -> str:
        return "".join(compose(prompt_for("gpt-4.1"), rng_for(*parts)).text)

    assert text(1, "a") == text(1, "a")
    assert len({text(1, "a"), text(2, "a"), text(1, "b")}) == 3


def test_every_model_of_the_table_answers() -> None:
    for model in all_models():
        if model.is_embedding:
            continue
        answer = compose(
            Prompt(model=model, system="", turns=(Turn("user", "Why is the sky blue?"),)), random.Random(1)
        )
        assert answer.text, model.name
        assert bool(answer.reasoning) is (model.reasoning is not Reasoning.NONE), model.name


SCHEMAS = [
    {"type": "object", "properties": {"a": {"type": "string", "minLength": 30, "maxLength": 40}}, "required": ["a"]},
    {"type": "array", "items": {"type": "number", "minimum": -3, "exclusiveMaximum": 2}, "minItems": 4, "maxItems": 4},
    {"type": "array", "items": {"enum": [1, 2, 3, 4]}, "uniqueItems": True},
    {"anyOf": [{"type": "null"}, {"const": "x"}]},
    {
        "allOf": [{"properties": {"a": {"type": "integer"}}}, {"properties": {"b": {"type": "boolean"}}}],
        "type": "object",
    },
    {"type": ["null", "integer"], "multipleOf": 7, "minimum": 10},
    {
        "$defs": {
            "node": {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}}
        },
        "$ref": "#/$defs/node",
    },
    {"type": "string", "format": "date-time"},
    {"type": "object"},
    {},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_a_value_satisfies_its_schema(schema: dict[str, object], seed: int) -> None:
    jsonschema.validate(instance_of(schema, random.Random(seed), "tulips"), schema)


@pytest.mark.parametrize("topic", topics(), ids=lambda topic: topic.name)
@pytest.mark.parametrize("style", STYLES)
def test_every_topic_reads_well_in_every_voice(topic: object, style: Style) -> None:
    answer = said(f"Explain {topic.match[0]} to me", style, tokens=600)  # type: ignore[attr-defined]  # a Topic

    prose = re.sub(r"```.*?```|\$\$.*?\$\$|\$.*?\$", "…", answer, flags=re.DOTALL)
    assert not re.search(r"\b(tCP|uDP|hTTP)\b", prose)
    assert not re.search(r"[{}]|\n\n\n", prose)
    assert answer.count("```") % 2 == 0
