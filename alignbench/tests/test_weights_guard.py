"""The one wrapper around third-party code: what passes, what becomes a line, and what the line says."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, models, processors

from alignbench.errors import DataError, ModelError
from alignbench.memory import is_out_of_memory
from alignbench.weights.guard import guarded, guards
from alignbench.weights.text import one_line


class OddError(Exception):
    """An exception that no list has."""


class Model:
    name = "mine"

    @guards("its forward pass fails", "try another")
    def forward(self, error: BaseException) -> None:
        raise error


@pytest.mark.parametrize(
    "error",
    [
        OddError("x"),
        RecursionError("x"),
        StopIteration("x"),
        AssertionError("x"),
        ImportError("x"),
        SystemError("x"),
    ],
)
def test_whatever_is_raised_becomes_one_line_with_its_cause(error: Exception) -> None:
    with pytest.raises(ModelError) as caught:
        Model().forward(error)
    assert str(caught.value) == f"mine: its forward pass fails ({type(error).__name__}: x); try another"
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), DataError("ours"), ModelError("ours")])
def test_what_is_ours_or_ends_a_program_passes(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        Model().forward(error)
    assert caught.value is error


def test_a_panic_of_rust_is_an_error_like_any_other() -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    tokenizer.post_processor = processors.TemplateProcessing(single="a $A", special_tokens=[("a", 0)])
    raw = tokenizer.to_str().replace(
        '"special_tokens":{"a":{"id":"a","ids":[0],"tokens":["a"]}}', '"special_tokens":{}'
    )
    broken = Tokenizer.from_str(raw)
    with pytest.raises(ModelError, match=r"x: it fails \(PanicException"), guarded("x", "it fails"):
        broken.encode("a")


def test_an_exception_of_a_program_that_ends_is_no_failure() -> None:
    class Ends(BaseException):
        """As pytest's own outcomes are."""

    with pytest.raises(Ends), guarded("x", "it fails"):
        raise Ends


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"
            ),
            True,
        ),
        (RuntimeError("shapes differ"), False),
    ],
)
def test_that_memory_ran_out_is_still_known(error: Exception, expected: bool) -> None:
    with pytest.raises(ModelError) as caught, guarded("x", "it fails"):
        raise error
    assert is_out_of_memory(caught.value) == expected


def test_a_long_cause_is_cut_at_a_word() -> None:
    said = one_line(ValueError("word " * 100))
    assert len(said) <= len("ValueError: ") + 200
    assert said.endswith("word...")
    assert one_line(ValueError()) == "ValueError"
