"""OpenAI's tokenizers, for whoever wants to know exactly: half a second and 60 MB, so never before it is asked for.

The word lists come with litellm, so nothing is fetched as long as both agree on the list. Other providers publish no
tokenizer; for them there is only the estimate.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

_LISTS_VARIABLE: Final = "TIKTOKEN_CACHE_DIR"


def tokenizer_for(wire_model: str) -> Callable[[str], int] | None:
    """Count the tokens of a text as this model does; None for a model whose tokenizer is not public.

    Blocking: call it in a worker thread. Raises OSError or ValueError when the word list is neither here nor to be had.
    """
    bundled = _lists_of_litellm()
    if bundled is not None:
        # Where tiktoken looks first. litellm sets the same when it is imported.
        os.environ.setdefault(_LISTS_VARIABLE, str(bundled))
    import tiktoken

    try:
        encoding = tiktoken.encoding_for_model(wire_model.rpartition("/")[2])
    except KeyError:
        return None
    return lambda text: len(encoding.encode_ordinary(text))


def _lists_of_litellm() -> Path | None:
    spec = importlib.util.find_spec("litellm")
    if spec is None or spec.origin is None:
        return None
    directory = Path(spec.origin).parent / "litellm_core_utils" / "tokenizers"
    return directory if directory.is_dir() else None
