"""The text that an experiment works on, cut in two ways."""

from __future__ import annotations

import types

import numpy as np
import pytest
from tokenizers import Tokenizer, processors

from experiments.harness import UserError
from experiments.harness.inputs import load_text


@pytest.fixture
def text(checkpoint, corpus):
    """The text in windows of so many tokens, with or without a token before every text."""

    def load(length: int, documents: int | None, special: bool = True):
        tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
        if special:
            tokenizer.post_processor = processors.TemplateProcessing(
                single="! $A", special_tokens=[("!", tokenizer.token_to_id("!"))]
            )
        of = {"corpus": f"file:{corpus}", "length": length, "documents": documents}
        config = types.SimpleNamespace(
            data=types.SimpleNamespace(**of),
            windows=2,
            calibration=types.SimpleNamespace(windows=1),
        )
        return load_text(config, tokenizer), tokenizer

    return load


@pytest.mark.parametrize("special", [True, False])
def test_a_stream_starts_every_window_as_documents_do(text, special):
    stream, tokenizer = text(17, None, special)
    document, _ = text(17, 1, special)
    np.testing.assert_array_equal(stream.windows, document.windows)
    np.testing.assert_array_equal(stream.calibration, document.calibration)
    assert stream.windows.shape == (2, 17)
    starts = {
        tokenizer.decode([t]) == "!" for t in (*stream.windows[:, 0], stream.calibration[0, 0])
    }
    assert starts == {special}


def test_windows_too_short_for_any_text(text):
    with pytest.raises(UserError, match="data.length: 1 leaves no room for text"):
        text(1, None)
