"""LLMs with their head, against transformers called directly, on tiny checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers
from torch.nn import functional

from alignbench.errors import ModelError
from alignbench.llms import resolve
from alignbench.tests import tiny_models as tiny
from alignbench.tests import tiny_texts
from alignbench.weights.loading import quiet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

hf: Any = transformers
FAMILIES = list(tiny.LLMS)


pytestmark = pytest.mark.usefixtures("one_torch_thread")


def causal(folder: Path) -> Any:
    handle: Any = resolve(str(folder))
    made = handle.with_head()
    made.load("cpu", "float32")
    return made


def reference(family: str, folder: Path, tmp_path: Path) -> Any:
    """Return transformers' own model with its head; InternLM2 by way of the LLaMA it was made from."""
    with quiet():
        if family == "gemma3":
            return hf.Gemma3ForConditionalGeneration.from_pretrained(folder).eval()
        if family == "internlm2":
            folder = tiny.llama(tmp_path / "llama")
            tiny.edit_config(
                folder, rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 50000}
            )
            tiny.edit_config(folder, rms_norm_eps=1e-5)
        return hf.AutoModelForCausalLM.from_pretrained(folder).eval()


@pytest.mark.parametrize("family", FAMILIES)
def test_losses_are_those_of_transformers(
    family: str, folders: Callable[[str], Path], tmp_path: Path
) -> None:
    decoder = causal(folders(family)).decoder
    model = reference(family, folders(family), tmp_path)
    texts = [decoder.ids(text) for text in tiny.TEXTS]
    prefix = decoder.vectors([1])[None].expand(len(texts), -1, -1)
    expected = []
    for text in texts:  # one at a time: nothing is padded
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[1, *text]])).logits[0, :-1].float()
        expected.append(float(functional.cross_entropy(logits, torch.tensor(text), reduction="sum")))
    with torch.no_grad():
        tiny.close(decoder.losses(prefix, texts).numpy(), expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_are_the_likeliest_tokens_whatever_is_asked_beside(
    family: str, folders: Callable[[str], Path], tmp_path: Path
) -> None:
    decoder = causal(folders(family)).decoder
    model = reference(family, folders(family), tmp_path)
    prompts = [[1, *decoder.ids(text)] for text in tiny.TEXTS]
    said = decoder.answers([decoder.vectors(prompt) for prompt in prompts], 4)
    for prompt, answer in zip(prompts, said, strict=True):
        ids = list(prompt)
        for _ in range(4):
            with torch.no_grad():
                token = int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
            if token == 2:
                break
            ids.append(token)
        new = ids[len(prompt) :]
        assert answer == (decoder.tokenizer.decode(new, skip_special_tokens=True) if new else "")


def test_tied_embeddings_are_the_head(tmp_path: Path) -> None:
    config = hf.LlamaConfig(**tiny.TEXT, tie_word_embeddings=True)
    folder = tiny.save(tiny.scattered(hf.LlamaForCausalLM(config)), tmp_path / "tied", tiny_texts.tokenizer())
    model = causal(folder).decoder.model
    assert model.lm_head.weight.data_ptr() == model.get_input_embeddings().weight.data_ptr()


@pytest.mark.parametrize(("family", "head"), [("llama", "lm_head"), ("internlm2", "output")])
def test_a_checkpoint_without_its_head_is_refused(family: str, head: str, tmp_path: Path) -> None:
    folder = tiny.LLMS[family](tmp_path / "model")
    tiny.rename_keys(folder, lambda key: None if key.startswith(head) else key)
    with pytest.raises(ModelError, match="missing from the checkpoint"):
        causal(folder)


def test_no_weight_can_be_trained_and_gradients_reach_the_prefix(folders: Callable[[str], Path]) -> None:
    decoder = causal(folders("llama")).decoder
    prefix = decoder.vectors([1, 5])[None].clone().requires_grad_()
    decoder.losses(prefix, [decoder.ids("pie")]).sum().backward()
    assert prefix.grad is not None
    assert prefix.grad.abs().sum() > 0
    assert not any(p.requires_grad for p in decoder.model.parameters())


@pytest.mark.parametrize("family", ["llama", "gemma3_text"])
def test_sparing_memory_changes_no_gradient(family: str, folders: Callable[[str], Path]) -> None:
    decoder = causal(folders(family)).decoder
    passes: list[int] = []
    for module in decoder.model.modules():
        module.attention_dropout = module.p = 0.5  # would drop at random while a model is trained
        if type(module).__name__.endswith("MLP"):
            module.register_forward_pre_hook(lambda *_: passes.append(0))

    def gradient() -> Any:
        prefix = decoder.vectors([1, 5])[None].clone().requires_grad_()
        decoder.losses(prefix, [decoder.ids(tiny.TEXTS[0])]).sum().backward()
        return prefix.grad

    plain = gradient()
    once = len(passes)
    with decoder.sparing_memory():
        torch.testing.assert_close(gradient(), plain)
    assert len(passes) == 3 * once  # each layer ran twice in there
    gradient()
    assert len(passes) == 4 * once
    assert not any(module.training for module in decoder.model.modules())


def test_unloading_frees_the_model(folders: Callable[[str], Path]) -> None:
    made = causal(folders("llama"))
    made.unload()
    with pytest.raises(ModelError, match="is not loaded"):
        _ = made.decoder


def test_the_handle_with_a_head_is_of_the_same_weights(folders: Callable[[str], Path]) -> None:
    handle: Any = resolve(str(folders("qwen2")))
    made = handle.with_head()
    assert made.info.label == handle.info.label
    assert made.locate().revision == handle.locate().revision
    assert np.isfinite(handle.embed(["pie"])).all()
