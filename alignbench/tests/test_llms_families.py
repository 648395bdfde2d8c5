"""Each family of LLMs against transformers called directly, on a tiny checkpoint of its architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import sentencepiece
import torch
import transformers
from tokenizers import processors

from alignbench.errors import DataError, ModelError
from alignbench.llms import resolve
from alignbench.llms.decoder import masked_mean
from alignbench.tests import own_texts, tiny_texts
from alignbench.tests import tiny_models as tiny
from alignbench.weights.precision import Precision
from alignbench.weights.request import LoadRequest
from alignbench.weights.tokenizer import SentencePieceTokenizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


hf: Any = transformers
FAMILIES = list(tiny.LLMS)
EXACT = Precision("float32")


pytestmark = pytest.mark.usefixtures("one_torch_thread")


def llm(folder: Path, **options: Any) -> Any:
    made: Any = resolve(str(folder), **{"l2": False, **options})
    made.load("cpu", "float32")
    return made


@pytest.mark.parametrize("family", FAMILIES)
def test_the_mean_state_is_that_of_transformers(family: str, folders: Callable[[str], Path]) -> None:
    tiny.close(llm(folders(family)).embed(tiny.TEXTS), own_texts.adapted(family, folders(family)))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_batch_size_changes_nothing(family: str, folders: Callable[[str], Path]) -> None:
    made = llm(folders(family))
    whole = made.embed(tiny.TEXTS, batch_size=5)
    tiny.close(made.embed(tiny.TEXTS, batch_size=1), whole)
    tiny.close(made.embed(tiny.TEXTS, batch_size=2), whole)


@pytest.mark.parametrize("family", FAMILIES)
def test_left_and_right_padding_agree(family: str, folders: Callable[[str], Path]) -> None:
    made = llm(folders(family))
    ids = made.tokenize(tiny.TEXTS)
    right = made.forward(ids)
    made.running().model.padding_side = "left"
    tiny.close(made.forward(ids), right, 1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_two_loads_give_the_same_bits(family: str, folders: Callable[[str], Path]) -> None:
    first, second = llm(folders(family)), llm(folders(family))
    np.testing.assert_array_equal(first.embed(tiny.TEXTS), second.embed(tiny.TEXTS))


@pytest.mark.parametrize("family", FAMILIES)
def test_spreading_over_devices_gives_the_same_vectors(family: str, folders: Callable[[str], Path]) -> None:
    made = llm(folders(family))
    ids = made.tokenize(tiny.TEXTS)
    alone = made.forward(ids)
    request = LoadRequest(made.locate(), made.source.config(), made.options, "cpu", EXACT, spread=True)
    spread = made.family.load(request)
    tiny.close(spread.mean_states(ids, -1, EXACT), alone, 1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_autocast_agrees_with_float32(family: str, folders: Callable[[str], Path]) -> None:
    exact = llm(folders(family), l2=True)
    rough: Any = resolve(str(folders(family)))
    rough.load("cpu", "bfloat16")
    assert rough.info.params["dtype"] == "bfloat16-autocast"
    assert (exact.embed(tiny.TEXTS) * rough.embed(tiny.TEXTS)).sum(axis=1).min() >= 0.999


@pytest.mark.parametrize(
    "rename",
    [
        lambda key: key.replace("language_model.model.", "model.language_model."),
        lambda key: key if key.startswith("language_model.") else f"model.{key}",
    ],
    ids=["new", "old"],
)
def test_gemma3_loads_from_both_key_layouts(
    rename: Callable[[str], str], folders: Callable[[str], Path], tmp_path: Path
) -> None:
    other = tiny.gemma3(tmp_path / "model")
    tiny.rename_keys(other, rename)
    tiny.close(llm(other).embed(tiny.TEXTS), llm(folders("gemma3")).embed(tiny.TEXTS), 1e-6)


def test_a_checkpoint_without_a_head_is_as_good(folders: Callable[[str], Path], tmp_path: Path) -> None:
    headless = tiny.llama(tmp_path / "model")
    tiny.rename_keys(headless, lambda key: None if key.startswith("lm_head") else key.removeprefix("model."))
    tiny.close(llm(headless).embed(tiny.TEXTS), llm(folders("llama")).embed(tiny.TEXTS), 1e-6)


def test_no_head_is_loaded(folders: Callable[[str], Path]) -> None:
    names = [name for name, _ in llm(folders("llama")).running().model.model.named_parameters()]
    assert names
    assert not [name for name in names if "head" in name]


@pytest.mark.parametrize("layer", [0, 2, -2])
def test_a_hidden_layer_is_the_one_that_was_asked_for(layer: int, folders: Callable[[str], Path]) -> None:
    made = llm(folders("qwen2"), layer=layer)
    tiny.close(made.embed(tiny.TEXTS), own_texts.adapted("qwen2", folders("qwen2"), layer))


def test_a_layer_that_is_not_there_is_refused(folders: Callable[[str], Path]) -> None:
    with pytest.raises(ModelError, match="layer 4: this model has layers 0"):
        llm(folders("llama"), layer=4).embed(tiny.TEXTS)


def test_the_mask_and_not_the_padding_id_says_what_counts(folders: Callable[[str], Path]) -> None:
    made = llm(folders("llama"))
    filler = made.running().model._filler()
    assert filler == 2  # the end-of-text token: there is no padding token
    with_filler = [[1, 7, filler, 9, filler], [1, 8]]
    alone = made.forward(with_filler[:1])
    tiny.close(made.forward(with_filler)[:1], alone, 1e-6)
    assert np.abs(made.forward([[1, 7, 9]]) - alone).max() > 1e-3


def test_what_stands_at_padded_places_never_enters_the_mean() -> None:
    states = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [float("inf"), float("nan")]]])
    mean = masked_mean(states, torch.tensor([[1, 1, 0]]))
    assert mean.tolist() == [[2.0, 3.0]]


def test_the_mean_is_taken_in_float32() -> None:
    # 1,000 x 1.0078125 = 1,007.8125 is not a bfloat16: a sum in that dtype would be 1,008.
    states = torch.full((1, 1000, 1), 1.01, dtype=torch.bfloat16)
    mean = masked_mean(states, torch.ones(1, 1000, dtype=torch.long))
    assert mean.dtype == torch.float32
    assert mean.item() == pytest.approx(float(states[0, 0, 0]), rel=1e-5)


def test_long_texts_are_cut_and_counted(folders: Callable[[str], Path]) -> None:
    made = llm(folders("llama"), max_length=6)
    ids = made.tokenize(tiny.TEXTS)
    full = llm(folders("llama")).tokenize(tiny.TEXTS)
    assert max(len(of) for of in ids) == 6
    assert made.truncated(tiny.TEXTS) == sum(len(of) > 6 for of in full)
    assert made.info.params["max_length"] == 6


def test_a_text_without_tokens_is_an_error_not_a_vector(
    folders: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = tiny.llama(tmp_path / "model")
    bare = tiny_texts.tokenizer()
    bare.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    bare.save_pretrained(folder)
    with pytest.raises(DataError, match="makes no token of text 1"):
        llm(folder).embed(["chart", ""])


def test_no_texts_give_no_rows(folders: Callable[[str], Path]) -> None:
    assert len(llm(folders("llama")).embed([])) == 0


def test_unit_length_is_the_default(folders: Callable[[str], Path]) -> None:
    made: Any = resolve(str(folders("llama")))
    made.load("cpu", "float32")
    np.testing.assert_allclose(np.linalg.norm(made.embed(tiny.TEXTS), axis=1), 1, atol=1e-6)


def test_gemma3_refuses_float16(folders: Callable[[str], Path]) -> None:
    with pytest.raises(ModelError, match="float16 overflows in this family"):
        resolve(str(folders("gemma3"))).load("cpu", "float16")


def test_quantized_weights_are_refused_off_cuda(folders: Callable[[str], Path]) -> None:
    with pytest.raises(ModelError, match="4bit weights need a CUDA GPU"):
        resolve(str(folders("llama")), quantization="4bit").load("cpu", "float32")


def test_a_file_that_is_no_sentencepiece_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"not a model")
    with pytest.raises(ModelError, match="not a SentencePiece model"):
        SentencePieceTokenizer(tmp_path / "tokenizer.model")


def test_internlm2_reads_its_own_sentencepiece_model(tmp_path: Path) -> None:
    pieces: Any = sentencepiece
    folder = tiny.internlm2(tmp_path / "model")
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(tiny.TEXTS * 20), encoding="utf-8")
    pieces.SentencePieceTrainer.train(
        input=str(corpus),
        model_prefix=str(folder / "tokenizer"),
        vocab_size=60,
        model_type="bpe",
        minloglevel=2,
    )
    (folder / "tokenizer.json").unlink()
    reader = pieces.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    made = llm(folder, max_length=7)
    assert made.tokenize(tiny.TEXTS) == [[1, *reader.encode(text)][:7] for text in tiny.TEXTS]
    # The blank before the first word is a piece of its own kind, which another reader would lose.
    assert reader.id_to_piece(made.tokenize(["pie"])[0][1]).startswith("▁")
    assert np.isfinite(made.embed(tiny.TEXTS)).all()
