"""What a model can give, and whether its weights are its own: found from names and shapes, before a load."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from alignbench import cli, encoders, llms
from alignbench.encoders.pixels import parse_pixels
from alignbench.errors import ConfigError, ModelError, WeightsMissingError
from alignbench.experiments.scoring import Settings
from alignbench.experiments.sensitivity.variants import sensitivity
from alignbench.llms import resolve as resolve_llm
from alignbench.show.sensitivity import sensitivity_lines
from alignbench.stats.variations import AS_SCORED, variations
from alignbench.tests import tiny_models as tiny
from alignbench.tests.test_sensitivity import Bench
from alignbench.tests.toys import RECORD, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from alignbench.embed import EmbeddingStore

NETWORK, WEIGHTS = "test_convnext", "model.safetensors"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A convolutional network of timm, of a few thousand parameters."""
    model = tiny.scattered(timm.create_model(NETWORK, pretrained=False, num_classes=7))
    file = tmp_path_factory.mktemp("timm") / "w.safetensors"
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, file)
    return file


# --- weights and architecture


def without_a_key(folder: Path) -> None:
    tiny.rename_keys(
        folder, lambda key: None if "vision" in key and key.endswith("layers.1.mlp.fc1.weight") else key
    )


def of_another_model(folder: Path) -> None:
    tiny.rename_keys(folder, lambda key: f"swan.{key}")


def wider(folder: Path) -> None:
    path = folder / WEIGHTS
    tensors = load_file(path)
    key = next(key for key in tensors if "vision" in key and key.endswith("layers.1.mlp.fc1.bias"))
    save_file({**tensors, key: torch.zeros(7)}, path)


@pytest.mark.usefixtures("never_loads")
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (without_a_key, r"1 of the \d+ weights of CLIPVision\w+ are missing from the checkpoint, as .*fc1"),
        (
            of_another_model,
            r"(\d+) of the \1 weights .*, and \d+ of the checkpoint's have no place .*'swan\.",
        ),
        (wider, r"1 of the \d+ weights .* are of another shape in the checkpoint, as .*\(7,\)"),
    ],
)
def test_foreign_weights_are_told_without_reading_one(
    damage: Callable[[Path], None],
    said: str,
    folders: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    folder = shutil.copytree(folders("clip"), tmp_path / "model")
    damage(folder)
    handle: Any = encoders.resolve(str(folder))
    with pytest.raises(ModelError, match=said) as caught:
        handle.examine()
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("never_loads")
@pytest.mark.parametrize(
    "family", ["clip", "siglip", "internvit", "paligemma", "llama", "gemma3", "internlm2"]
)
def test_sound_models_pass_without_a_number_read(family: str, folders: Callable[[str], Path]) -> None:
    handle: Any = (encoders if family in tiny.ENCODERS else llms).resolve(str(folders(family)))
    handle.examine()
    assert not handle.loaded


def test_foreign_weights_of_an_llm_are_told(folders: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders("llama"), tmp_path / "model")
    of_another_model(folder)
    handle: Any = llms.resolve(str(folder))
    with pytest.raises(ModelError, match=r"weights of LlamaModel are missing .* no place in it, as 'swan\."):
        handle.examine()


@pytest.mark.parametrize("family", ["dinov2", "llama"])
def test_a_layer_that_there_is_not_is_told(family: str, folders: Callable[[str], Path]) -> None:
    resolve = encoders.resolve if family in tiny.ENCODERS else llms.resolve
    handle: Any = resolve(f"x={folders(family)}", layer=9)
    with pytest.raises(ModelError, match=r"^x: layer 9: this model has layers 0"):
        handle.examine()


def test_a_misspelt_architecture_is_told_with_the_one_that_was_meant(network: Path) -> None:
    handle: Any = encoders.resolve(f"x=timm:test_convnex@{network}")
    with pytest.raises(
        ModelError, match=r"'test_convnex' is no architecture of timm\. Did you mean 'test_conv"
    ):
        handle.examine()
    with pytest.raises(ModelError, match=r"^x: 'qqqq' is no architecture of timm\. timm .* lists them$"):
        encoders.resolve("x=timm:qqqq").locate()


def test_of_a_name_that_cannot_be_found_timm_is_asked_whether_it_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("alignbench.weights.hub.cached_snapshots", lambda *_: [])

    def nowhere(*_: Any, **__: Any) -> Any:
        raise WeightsMissingError("not at hand")

    monkeypatch.setattr("alignbench.weights.hub.list_files", nowhere)
    with pytest.raises(ModelError, match=r"no architecture of timm\. Did you mean 'resnet50'"):
        encoders.resolve("timm:resnet5O.a1_in1k").locate()
    with pytest.raises(WeightsMissingError, match="not at hand"):
        encoders.resolve("timm:resnet50.a1_in1k").locate()


@pytest.mark.slow
def test_doctor_does_not_call_that_well(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [f"sound=timm:{NETWORK}@{network}", f"foreign=timm:test_vit@{network}"]
    assert cli.main(["doctor", "--encoders", *given, "--llms=mini-llama", "--device=cpu"]) == 1
    said = capsys.readouterr().out
    assert "to do     encoder foreign=timm:test_vit" in said
    assert "weights of test_vit are missing from the checkpoint" in said
    assert "pixels    sound: 160 x 160, mean 0.5, std 0.5, 95% centre crop, bicubic" in said
    assert "all well" not in said


# --- poolings


def test_a_pooling_that_the_model_lacks_stops_a_run_before_it_begins(
    network: Path, project: pytest.Pytester
) -> None:
    project.makepyfile(test_it=RECORD)
    result = run(project, f"--encoders=net=timm:{NETWORK}@{network}", "--align-pooling=cls", "--n-samples=4")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: net: this timm model has no 'cls' pooling (there is no CLS token)*"])


@pytest.mark.slow
def test_a_library_is_asked_by_name_before_its_weights_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alignbench.weights.hub.cached_snapshots", lambda *_: [])
    monkeypatch.setattr(
        "alignbench.weights.hub.list_files",
        lambda *_, **__: type("L", (), {"commit": "c", "bytes_to_fetch": 9}),
    )
    handle: Any = encoders.resolve("timm:test_resnet.r160_in1k", pooling="cls")
    with pytest.raises(ModelError, match="no 'cls' pooling"):
        handle.examine()
    assert encoders.resolve("timm:test_vit.r160_in1k").poolings == ("pooler", "mean", "cls")


def test_a_siglip_without_its_head_has_no_pooler(folders: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders("siglip"), tmp_path / "model")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tiny.edit_config(folder, vision_config={**config["vision_config"], "vision_use_head": False})
    tiny.rename_keys(folder, lambda key: None if ".head." in key else key)
    handle: Any = encoders.resolve(str(folder))
    assert (handle.pooling, handle.poolings) == ("mean", ("mean",))
    assert handle.family.attends is None
    assert handle.embed(tiny.images()).shape == (5, 32)


@pytest.mark.slow
def test_sensitivity_of_a_convolutional_network_has_the_variants_that_there_are(
    network: Path, folders: Callable[[str], Path], store: EmbeddingStore
) -> None:
    bench = Bench(
        encoders.resolve(f"net=timm:{NETWORK}@{network}"), resolve_llm(str(folders("llama"))), store
    )
    found = bench.variants()
    assert [name for name in found if name.startswith(("pooling", "encoder"))] == [
        "pooling mean",
        "encoder middle layer",
    ]
    assert found["encoder middle layer"].x.shape == (8, 48)


@pytest.mark.slow
def test_a_variant_that_cannot_be_is_one_line_and_the_others_go_on(
    network: Path, folders: Callable[[str], Path], store: EmbeddingStore
) -> None:
    bench = Bench(
        encoders.resolve(f"net=timm:{NETWORK}@{network}"), resolve_llm(str(folders("llama"))), store
    )

    def varied(model: Any, **changes: Any) -> Any:
        if "fit" in changes:
            raise ModelError("net: it sees no edges")
        return bench.varied(model, **changes)

    scores = sensitivity(bench.encoder, bench.llm, bench.pair, varied, bench.layers, Settings())
    by_name = {score.variant: score for score in scores}
    lost = by_name.pop("fit pad")
    assert (lost.status, lost.reason) == ("not_applicable", "net: it sees no edges")
    assert {AS_SCORED, "pooling mean", "lengths kept"} <= by_name.keys()
    assert all(score.value is not None for score in by_name.values())
    labels = {name: name for name in ("net", bench.llm.info.label)}
    assert "- net, fit pad: net: it sees no edges" in sensitivity_lines(variations(scores), scores, labels)
    gone = WeightsMissingError("net: the file is gone")

    def without(*_: Any, **__: Any) -> Any:
        raise gone

    with pytest.raises(WeightsMissingError):
        sensitivity(bench.encoder, bench.llm, bench.pair, without, bench.layers, Settings())


# --- folders that libraries write


def timm_folder(folder: Path, **arguments: Any) -> Any:
    """Return a network of timm, saved as timm saves it for the Hub."""
    from timm.models import save_for_hf

    model = tiny.scattered(timm.create_model("test_resnet", pretrained=False, num_classes=3, **arguments))
    given = {"num_classes": 3, **arguments}
    save_for_hf(model, str(folder), model_args=given, safe_serialization=True)
    return model


def expected(model: Any, handle: Any) -> Any:
    pixels = torch.stack([handle.preprocess(image) for image in tiny.images()])
    with torch.no_grad():
        return model.forward_head(model.forward_features(pixels), pre_logits=True).numpy()


def test_a_folder_that_timm_saves_loads_whatever_shape_its_arguments_choose(tmp_path: Path) -> None:
    model = timm_folder(tmp_path / "model", in_chans=3, drop_rate=0.1, block_args={"attn_layer": "eca"})
    handle: Any = encoders.resolve(str(tmp_path / "model"), l2=False)
    handle.examine()
    handle.load("cpu", "float32")
    tiny.close(handle.embed(tiny.images()), expected(model, handle), 1e-4)


@pytest.mark.slow
def test_a_folder_that_transformers_saves_of_a_model_of_timm_loads(tmp_path: Path) -> None:
    import transformers

    config = transformers.TimmWrapperConfig(architecture="test_resnet", model_args={"in_chans": 3})
    model: Any = tiny.scattered(transformers.TimmWrapperModel(config))
    model.save_pretrained(tmp_path / "model")
    assert all(key.startswith("timm_model.") for key in load_file(tmp_path / "model" / WEIGHTS))
    handle: Any = encoders.resolve(str(tmp_path / "model"), l2=False)
    handle.examine()
    handle.load("cpu", "float32")
    tiny.close(handle.embed(tiny.images()), expected(model.timm_model, handle), 1e-4)


# --- how an image becomes pixels


@pytest.mark.slow
def test_a_spec_can_say_how_an_image_becomes_pixels(network: Path) -> None:
    ends = "+mean=0.1/0.2/0.3+std=.5+crop=.8+interpolation=bilinear"
    handle: Any = encoders.resolve(f"net=timm:{NETWORK}@{network}{ends}")
    plain: Any = encoders.resolve(f"net=timm:{NETWORK}@{network}")
    said = "160 x 160, mean 0.1 0.2 0.3, std 0.5, 80% centre crop, bilinear"
    assert handle.pixels.said() == said
    assert handle.fingerprint() != plain.fingerprint()
    assert handle.info.source.endswith(ends)
    assert handle.info.params["pixels"]["mean"] == (0.1, 0.2, 0.3)
    assert "pixels" not in plain.info.params
    handle.load("cpu", "float32")
    white = handle.preprocess(Image.new("RGB", (200, 200), "white"))
    np.testing.assert_allclose(white[:, 0, 0], [(1 - mean) / 0.5 for mean in (0.1, 0.2, 0.3)], rtol=1e-5)
    # A crop of 80% of a square cuts off a frame of a tenth at each side.
    framed = Image.new("RGB", (200, 200), "white")
    framed.paste("black", (10, 10, 190, 190))
    np.testing.assert_allclose(handle.preprocess(framed)[0], (0 - 0.1) / 0.5, rtol=1e-5)
    plain.load("cpu", "float32")
    assert plain.preprocess(framed).max() > 0.9


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ("+mean=.5+mean=.4", "mean is there twice"),
        ("+mean=.5/.4", r"expected \+mean= with one number, or three"),
        ("+mean=124", r"\+mean= .* 0 to 1; got '124'"),
        ("+std=0", r"\+std= .* over 0"),
        ("+crop=.9/.9", r"\+crop= with one number, over 0"),
        ("+crop=nan", r"\+crop= .*got 'nan'"),
        ("+interpolation=swan", r"\+interpolation= nearest"),
        ("+size=224", r"expected \+mean, \+std, \+crop, \+interpolation, got \+size"),
    ],
)
def test_what_cannot_be_meant_is_one_line(ends: str, said: str, network: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        encoders.resolve(f"timm:{NETWORK}@{network}{ends}")


def test_where_a_file_says_it_the_spec_does_not() -> None:
    with pytest.raises(
        ConfigError, match=r"'mini-clip\+mean=.5': \+mean=.5 can be given with timm: and open_clip:"
    ):
        encoders.resolve("mini-clip+mean=.5")
    with pytest.raises(ConfigError, match="can be given with timm"):
        llms.resolve("mini-llama+mean=.5")
    with pytest.raises(ConfigError, match=r"leave out \+crop"):
        encoders.resolve("open_clip:ViT-B-32/openai+crop=.9")
    assert parse_pixels("", "x") == {}


@pytest.mark.parametrize("name", ["mini-clip", "mini-siglip", "mini-dinov2", "random-vit"])
@pytest.mark.parametrize("fit", ["native", "pad"])
def test_what_is_said_of_pixels_without_a_load_is_what_a_load_finds(name: str, fit: Any) -> None:
    handle: Any = encoders.resolve(name, fit=fit)
    before = handle.pixels
    handle.load("cpu", "float32")
    assert before == handle.running().model.prepare.pixels
    assert before is not None
    assert handle.preprocess(tiny.images()[0]).shape[1:] == before.size


def test_the_plan_says_how_each_encoder_sees_an_image(network: Path, project: pytest.Pytester) -> None:
    project.makepyfile(test_it=RECORD)
    chosen = f"--encoders=net=timm:{NETWORK}@{network}+mean=.4,mini-clip"
    result = run(project, chosen, "--n-samples=4", "-k", "linear_cka")
    assert result.ret == 0
    # The order of the models is that of the tests, which may be shuffled.
    for name, seen in (
        ("net: *", "160 x 160, mean 0.4, std 0.5, 95% centre crop, bicubic"),
        ("mini-clip: *", "112 x 112, mean 0.481 0.458 0.408, std 0.269 0.261 0.276, squashed,*"),
    ):
        result.stdout.fnmatch_lines([f"model  {name}", f"*sees {seen}"])
