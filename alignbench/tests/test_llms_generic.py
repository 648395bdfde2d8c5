"""Language models without an adapter of their own, against transformers called directly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.nn import functional

import alignbench as ab
from alignbench.config import load_config
from alignbench.errors import ModelError
from alignbench.findings import FLAGS
from alignbench.llms import families, resolve
from alignbench.llms.probe import check_batches
from alignbench.tests import own_texts, tiny_llms
from alignbench.tests import tiny_models as tiny
from alignbench.weights.loading import quiet
from alignbench.weights.precision import Precision
from alignbench.weights.request import LoadRequest

if TYPE_CHECKING:
    from collections.abc import Callable

hf: Any = transformers
EXACT = Precision("float32")
TESTED = [*tiny_llms.PLAIN, *tiny_llms.WHOLE, "gpt2", "internlm3"]
# Their networks look up a token's further vectors for every layer.
NEED_TOKENS = {"gemma3n_text", "gemma4_text", "gemma3n", "gemma4"}
READ = ["bert", "ernie4_5", "mamba", "roberta", "t5"]

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def folder(model_type: str) -> Path:
        if model_type not in made:
            made[model_type] = tiny_llms.written(model_type, tmp_path_factory.mktemp(model_type))
        return made[model_type]

    return folder


def llm(folder: Path, **options: Any) -> Any:
    made: Any = resolve(str(folder), **{"l2": False, **options})
    made.load("cpu", "float32")
    return made


def causal(folder: Path) -> Any:
    handle: Any = resolve(str(folder))
    made = handle.with_head()
    made.load("cpu", "float32")
    return made.decoder


def test_every_tested_model_type_is_tested() -> None:
    assert {*TESTED, "llama", "qwen2", "gemma3", "gemma3_text", "internlm2"} == set(families.BY_MODEL_TYPE)
    assert all(family.tested for family in families.BY_MODEL_TYPE.values())


@pytest.mark.slow
@pytest.mark.parametrize("model_type", TESTED)
@torch.no_grad()
def test_vectors_are_those_of_transformers(
    model_type: str, written: Callable[[str], Path], tmp_path: Path
) -> None:
    handle: Any = resolve(str(written(model_type)))
    handle.examine()
    made = llm(written(model_type))
    assert not made.untested
    network = own_texts.inside(own_texts.theirs(model_type, written(model_type), tmp_path))
    # One text at a time, so that nothing is padded.
    lists = made.tokenize(tiny.TEXTS)
    outs = [network(input_ids=torch.tensor([ids]), output_hidden_states=True) for ids in lists]
    expected = torch.cat([out.last_hidden_state.mean(1) for out in outs]).numpy()
    tiny.close(made.embed(tiny.TEXTS, batch_size=5), expected)
    tiny.close(made.embed(tiny.TEXTS, batch_size=2), expected)
    if outs[0].hidden_states[1].ndim == 3:
        layers = made.forward_layers(lists)
        tiny.close(layers[:, -1], expected)
        for layer in range(layers.shape[1] - 1):
            states = torch.cat([out.hidden_states[layer].mean(1) for out in outs])
            tiny.close(layers[:, layer], states.numpy())


@pytest.mark.parametrize("model_type", [name for name in TESTED if name not in NEED_TOKENS])
@torch.no_grad()
def test_a_head_continues_as_that_of_transformers(
    model_type: str, written: Callable[[str], Path], tmp_path: Path
) -> None:
    decoder = causal(written(model_type))
    model = own_texts.theirs(model_type, written(model_type), tmp_path)
    texts = [decoder.ids(text) for text in tiny.TEXTS[:2]]
    prefix = decoder.vectors([1])[None].expand(len(texts), -1, -1)
    expected = []
    for text in texts:
        logits = model(input_ids=torch.tensor([[1, *text]])).logits[0, :-1].float()
        expected.append(float(functional.cross_entropy(logits, torch.tensor(text), reduction="sum")))
    tiny.close(decoder.losses(prefix, texts).numpy(), expected)
    # Prompts of several lengths are padded on the left, which must not change an answer.
    prompts = [decoder.vectors([1, *text]) for text in texts]
    assert decoder.answers(prompts, 3) == [decoder.answers([prompt], 3)[0] for prompt in prompts]


@pytest.mark.parametrize("model_type", sorted(NEED_TOKENS))
def test_networks_that_look_at_tokens_are_refused_in_vlms(
    model_type: str, written: Callable[[str], Path]
) -> None:
    with pytest.raises(ModelError, match=r"in place of tokens|more of a token than"):
        causal(written(model_type))


def test_a_text_part_spreads_over_devices(written: Callable[[str], Path]) -> None:
    made = llm(written("mistral3"))
    ids = made.tokenize(tiny.TEXTS)
    config = made.source.config()
    request = LoadRequest(made.locate(), config, made.options, "cpu", EXACT, spread=True)
    spread = made.family.load(request)
    tiny.close(spread.mean_states(ids, -1, EXACT), made.forward(ids), 1e-6)


def test_the_words_of_a_text_part_are_its_head_if_the_whole_says_so(tmp_path: Path) -> None:
    folder = tiny_llms.written("mistral3", tmp_path / "model")
    damaged(folder, lambda tensors: tensors.pop("language_model.lm_head.weight"))
    with pytest.raises(ModelError, match=r"missing from the checkpoint, as 'lm_head.weight'"):
        causal(folder)
    tiny.edit_config(folder, tie_word_embeddings=True)
    model = causal(folder).model
    assert model.lm_head.weight.data_ptr() == model.get_input_embeddings().weight.data_ptr()


def test_weights_of_16_bits_are_computed_in_float32(tmp_path: Path) -> None:
    folder = tiny_llms.plain("qwen3", tmp_path / "model")
    damaged(folder, lambda tensors: tensors.update({key: of.bfloat16() for key, of in tensors.items()}))
    made = llm(folder)
    with quiet(), torch.no_grad():
        model = hf.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        rows = [torch.tensor([ids]) for ids in made.tokenize(tiny.TEXTS)]
        expected = torch.cat([model(input_ids=row).last_hidden_state.mean(1) for row in rows]).numpy()
    tiny.close(made.embed(tiny.TEXTS), expected)


def test_layers_without_one_state_per_token_are_refused(written: Callable[[str], Path]) -> None:
    with pytest.raises(ModelError, match=r"take the last layer \(-1\)"):
        llm(written("gemma3n_text"), layer=1).embed(tiny.TEXTS)


@pytest.mark.parametrize("model_type", READ)
@torch.no_grad()
def test_an_architecture_without_a_word_about_it_loads(
    model_type: str, written: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = written(model_type)
    handle: Any = resolve(str(folder), l2=False)
    handle.locate()
    handle.examine()
    assert f"model_type '{model_type}' is not covered" in handle.notes[0]
    made = llm(folder)
    tiny.close(made.embed(tiny.TEXTS, batch_size=5), own_texts.means(model_type, folder, tmp_path))
    assert made.info.family == "other"


@pytest.mark.parametrize(
    ("model_type", "reason"),
    [
        ("bart", "encoder-decoder whose encoder is no model of its own"),
        ("vit", "no language model of transformers"),
        ("clip", "no language model of transformers"),
    ],
)
def test_what_reads_no_texts_is_refused(
    model_type: str, reason: str, written: Callable[[str], Path], folders: Callable[[str], Path]
) -> None:
    handle: Any = resolve(str((folders if model_type == "clip" else written)(model_type)))
    handle.locate()
    with pytest.raises(ModelError, match=f"model_type '{model_type}'.*{reason}"):
        handle.examine()


def test_an_architecture_that_transformers_does_not_know_is_refused(tmp_path: Path) -> None:
    folder = tiny.llama(tmp_path / "model")
    tiny.edit_config(folder, model_type="swan")
    handle: Any = resolve(str(folder))
    handle.locate()
    with pytest.raises(ModelError, match=r"knows no model_type 'swan', .* a newer one may"):
        handle.examine()


@pytest.mark.parametrize(
    ("model_type", "reason"),
    [
        ("bert", "reads a text in both directions"),
        ("t5", "reads a text in both directions"),
        ("falcon_h1", "can't continue vectors in place of tokens"),
    ],
)
def test_what_can_not_continue_vectors_has_no_head(
    model_type: str, reason: str, written: Callable[[str], Path]
) -> None:
    with pytest.raises(ModelError, match=reason):
        causal(written(model_type))


@pytest.mark.parametrize("model_type", ["gemma", "gemma3_text"])
def test_a_decoder_that_reads_in_both_directions(model_type: str, tmp_path: Path) -> None:
    folder = tiny_llms.written(model_type, tmp_path / "model")
    plain = llm(folder)
    one_way = plain.embed(tiny.TEXTS)
    assert not plain.notes
    tiny.edit_config(folder, use_bidirectional_attention=True)
    made = llm(folder)
    with quiet(), torch.no_grad():
        model = hf.AutoModel.from_pretrained(folder).eval()
        rows = [torch.tensor([ids]) for ids in made.tokenize(tiny.TEXTS)]
        expected = torch.cat([model(input_ids=row).last_hidden_state.mean(1) for row in rows]).numpy()
    tiny.close(made.embed(tiny.TEXTS, batch_size=5), expected)
    assert np.abs(one_way - expected).max() > 1e-2
    # transformers reads padded texts of the first Gemma in one direction, so they are not padded.
    assert made.running().model.pads == (model_type == "gemma3_text")
    assert "reads a text in both directions" in made.notes[0]
    with pytest.raises(ModelError, match="reads a text in both directions"):
        causal(folder)


def test_the_llm_of_paligemma_is_not_said_to_read_in_both_directions(folders: Callable[[str], Path]) -> None:
    handle: Any = resolve(f"{folders('paligemma')}#text")
    assert handle.source.config()["text_config"]["use_bidirectional_attention"] is True
    assert "both directions, as embedding models do" not in " ".join(handle.notes)


EXPERT = "model.layers.1.mlp.experts.1.down_proj.weight"


def damaged(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("model_type", "key"),
    [
        ("qwen3_moe", EXPERT),
        ("qwen3_5_text", "model.layers.0.linear_attn.A_log"),
        ("mistral3", "language_model.model.layers.1.mlp.up_proj.weight"),
        ("ernie4_5", "model.layers.1.mlp.up_proj.weight"),
    ],
)
def test_a_missing_weight_is_refused(model_type: str, key: str, tmp_path: Path) -> None:
    folder = tiny_llms.written(model_type, tmp_path / "model")
    damaged(folder, lambda tensors: tensors.pop(key))
    with pytest.raises(ModelError, match=r"refused|experts"):
        llm(folder)


@pytest.mark.parametrize(
    ("model_type", "key", "shape"),
    [
        ("qwen3_moe", "model.layers.1.mlp.experts.4.down_proj.weight", (24, 16)),
        ("mistral3", "language_model.model.layers.1.self_attn.q_norm.weight", (6,)),
        ("mistral3", "language_model.model.layers.3.input_layernorm.weight", (24,)),
        ("ernie4_5", "model.layers.1.mlp.up_proj.bias", (40,)),
        ("bert", "bert.encoder.layer.3.output.dense.bias", (24,)),
        ("ernie4_5", "model.layers.1.mlp.up_proj.weight_scale_inv", (1, 1)),
    ],
)
def test_a_weight_that_would_change_the_model_is_refused(
    model_type: str, key: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    folder = tiny_llms.written(model_type, tmp_path / "model")
    damaged(folder, lambda tensors: tensors.update({key: torch.ones(shape)}))
    with pytest.raises(ModelError, match=r"refused|another shape"):
        llm(folder)


@pytest.mark.slow
def test_layers_that_only_predict_further_tokens_are_left_out(tmp_path: Path) -> None:
    folder = tiny_llms.written("deepseek_v3", tmp_path / "model")
    before = llm(folder).embed(tiny.TEXTS)
    extra = {
        "model.layers.3.eh_proj.weight": torch.ones(24, 48),
        "model.layers.3.input_layernorm.weight": torch.ones(24),
    }
    damaged(folder, lambda tensors: tensors.update(extra))
    tiny.edit_config(folder, num_nextn_predict_layers=0)
    with pytest.raises(ModelError, match="no place in"):
        llm(folder)
    tiny.edit_config(folder, num_nextn_predict_layers=1)
    tiny.close(llm(folder).embed(tiny.TEXTS), before, 1e-6)
    assert causal(folder).width == 24


def test_a_network_that_gives_no_numbers_is_refused_at_its_load(tmp_path: Path) -> None:
    folder = tiny_llms.written("ernie4_5", tmp_path / "model")
    damaged(folder, lambda tensors: tensors["model.norm.weight"].fill_(float("nan")))
    with pytest.raises(ModelError, match="vectors in float32 are not finite"):
        llm(folder)


class Leaking:
    """A decoder whose vectors depend on padding, or on the number of texts beside them."""

    def __init__(self, inner: Any, leak: str) -> None:
        self.inner, self.leak, self.config = inner, leak, inner.config

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __call__(self, **inputs: Any) -> Any:
        out = self.inner(**inputs)
        mask = inputs["attention_mask"]
        padded = (mask == 0).any()
        more = float(padded) if self.leak == "padding" else float(len(mask) > 1)
        out.last_hidden_state = out.last_hidden_state + more * torch.arange(out.last_hidden_state.shape[-1])
        return out


def test_texts_are_not_padded_where_that_changes_a_vector(written: Callable[[str], Path]) -> None:
    made = llm(written("ernie4_5"))
    expected = made.embed(tiny.TEXTS)
    decoder = made.running().model
    assert decoder.pads
    decoder.model = Leaking(decoder.model, "padding")
    assert np.abs(made.embed(tiny.TEXTS) - expected).max() > 0.1
    check_batches(decoder, -1, EXACT, "it")
    assert not decoder.pads
    tiny.close(made.embed(tiny.TEXTS, batch_size=5), expected, 1e-6)


def test_a_vector_that_depends_on_the_batch_is_refused(written: Callable[[str], Path]) -> None:
    decoder = llm(written("ernie4_5")).running().model
    decoder.model = Leaking(decoder.model, "batch")
    with pytest.raises(ModelError, match="it: a text's vector depends on the other texts of its batch"):
        check_batches(decoder, -1, EXACT, "it")


def test_gemmas_with_large_states_refuse_float16(written: Callable[[str], Path]) -> None:
    with pytest.raises(ModelError, match="float16 overflows in this family"):
        resolve(str(written("gemma3n_text"))).load("cpu", "float16")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*texts have more than 128 tokens")
def test_scores_of_an_untested_family_are_flagged_and_the_plan_says_why(
    written: Callable[[str], Path], folders: Callable[[str], Path]
) -> None:
    llms = [f"new={written('ernie4_5')}", f"old={folders('llama')}"]
    session = ab.Session(encoders="random-vit", llms=llms, data="synthetic", n_samples=4, device="cpu")
    scores = session.run("cka").scores
    assert {score.llm: "untested_family" in score.flags for score in scores} == {"new": True, "old": False}
    assert session.llms["new"].notes
    assert not session.llms["old"].notes
    assert "untested_family" in FLAGS


def test_the_page_on_models_lists_what_is_tested() -> None:
    page = (Path(ab.__file__).parent / "docs" / "models.md").read_text(encoding="utf-8")
    listed = page.split("a test compares the two -->\n")[1].split(".\n")[0]
    assert [name.strip() for name in listed.split(",")] == sorted(families.BY_MODEL_TYPE)
    for name, source in load_config().llms.items():
        assert f"| `{name}` | {source}" in page, name
