"""The README's Python is run as it stands, on the simulator."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.usefixtures("simulator")
@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_a_snippet_of_the_readme_runs(snippet: str, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {"__name__": "__main__"}

    exec(compile(snippet, "README.md", "exec"), names)

    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.usefixtures("simulator")
def test_what_llm_provider_shows_works_with_another_import() -> None:
    """The calls of llm-provider's README, on models that the simulator has."""
    from workbench import LLM, multi_chat, multi_generate

    llm = LLM("local/qwen3-8b")
    assert [len(row) for row in llm.generate(["What is 2+2?", "Name a color."])] == [1, 1]
    assert LLM("gemini/gemini-3-flash").generate("Solve: 2+2", system_prompt="Be concise.")[0][0]
    assert len(llm.generate([f"Question {number}" for number in range(10)], silent=True)) == 10
    assert min(llm.total_input_tokens, llm.total_output_tokens) > 0
    assert llm.total_cost == 0.0
    conversation = [
        {"role": "system", "content": "Be concise."},
        {"role": "user", "content": "What is 2+2?"},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": "And 3+3?"},
    ]
    assert isinstance(llm.chat(conversation), str)
    models = ["gpt-4.1-mini", "gemini/gemini-3-flash", "anthropic/claude-sonnet-4-6"]
    assert set(multi_generate(models, ["What is 2+2?", "Name a color."])) == set(models)
    assert set(multi_chat(models[:2], [{"role": "user", "content": "Hello"}])) == set(models[:2])
