"""From what a user writes to a handle: specs, aliases, stand-ins, custom encoders, no torch on the way."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

from alignbench import paths
from alignbench.encoders import ENCODERS, resolve
from alignbench.errors import ConfigError, ModelError, UnknownNameError, WeightsMissingError
from alignbench.llms import LLMS
from alignbench.llms import resolve as resolve_llm
from alignbench.tests import tiny_models as tiny
from alignbench.weights import hub
from alignbench.weights.spec import parse_spec

if TYPE_CHECKING:
    from pathlib import Path

KNOWN = ["clip", "siglip"]


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty Hub cache, and nobody who answers."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub, "unreachable", lambda: "the Hub can't be reached (test)")


@pytest.fixture
def minis(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Embedded models, as small as can be."""
    folder = tmp_path / "models"
    for name, make in (("mini-clip", tiny.clip), ("mini-siglip", tiny.siglip), ("mini-llama", tiny.llama)):
        make(folder / name)
    monkeypatch.setattr(paths, "models_dir", lambda: folder)
    return folder


@pytest.mark.parametrize(
    ("text", "alias", "kind", "target", "detail"),
    [
        ("clip", "clip", "name", "clip", None),
        ("mine=clip", "mine", "name", "clip", None),
        ("hf:org/some.name", "some.name", "hf", "org/some.name", None),
        ("hf:org/name@refs/pr/3", "name", "hf", "org/name", "refs/pr/3"),
        ("a-1=hf:org/name@v2", "a-1", "hf", "org/name", "v2"),
        ("./models/my model", "my-model", "folder", "models/my model", None),
        ("/data/lr=1e-4/run", "run", "folder", "/data/lr=1e-4/run", None),
        ("best=/data/lr=1e-4/run", "best", "folder", "/data/lr=1e-4/run", None),
        (
            "open_clip:ViT-B-32/laion2b_s34b_b79k",
            "ViT-B-32-laion2b_s34b_b79k",
            "open_clip",
            "ViT-B-32",
            "laion2b_s34b_b79k",
        ),
        ("open_clip:ViT-B-32//w/x.safetensors", "ViT-B-32-x", "open_clip", "ViT-B-32", "/w/x.safetensors"),
        ("timm:resnet50.a1_in1k", "resnet50.a1_in1k", "timm", "resnet50.a1_in1k", None),
        ("timm:resnet50@/w/x.safetensors", "resnet50", "timm", "resnet50", "/w/x.safetensors"),
        ("gguf:/w/smol.Q8.gguf", "smol.Q8", "gguf", "/w/smol.Q8.gguf", None),
        ("gguf:/w/a+b.gguf", "a-b", "gguf", "/w/a+b.gguf", None),
    ],
)
def test_a_spec_is_taken_apart(text: str, alias: str, kind: str, target: str, detail: str | None) -> None:
    spec = parse_spec(text, "encoder", KNOWN)
    assert (spec.alias, spec.kind, spec.target, spec.detail) == (alias, kind, target, detail)


@pytest.mark.parametrize("alias", ["a b", "a/b", "a,b", "a+b", "[a]", "a::b", "", "-a", "é", "a" * 41])
def test_an_alias_that_would_break_a_test_id_is_refused(alias: str) -> None:
    with pytest.raises((ConfigError, UnknownNameError), match=r"alias|unknown encoder"):
        parse_spec(f"{alias}=clip", "encoder", KNOWN)


def test_a_known_name_that_would_break_a_test_id_needs_an_alias() -> None:
    with pytest.raises(ConfigError, match=r"encoder alias 'a\+b'"):
        parse_spec("a+b", "encoder", ["a+b"])
    assert parse_spec("ab=a+b", "encoder", ["a+b"]).alias == "ab"


@pytest.mark.parametrize(
    "text", ["hf:name", "hf:", "hf:org/name/more", "open_clip:ViT-B-32", "timm:", "hf:../x"]
)
def test_a_spec_of_the_wrong_form_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected a name, hf:org/name") as caught:
        parse_spec(text, "encoder", KNOWN)
    assert "timm:name" in str(caught.value)
    assert "gguf:" not in str(caught.value)


def test_only_forms_of_the_own_side_are_offered() -> None:
    with pytest.raises(UnknownNameError) as caught:
        parse_spec("nothing", "LLM", KNOWN)
    said = str(caught.value)
    assert said.endswith("a folder[#part], gguf:file.gguf, pip:package or npy:file.npy")


@pytest.mark.parametrize(
    ("text", "target", "detail", "pixels"),
    [
        ("timm:vit@w.pth+mean=.5+crap=3", "vit", "w.pth", "+mean=.5+crap=3"),
        ("timm:vit+std=.5+mean=.5", "vit", None, "+std=.5+mean=.5"),
        ("timm:vit@a+b=c.safetensors", "vit", "a+b=c.safetensors", ""),
    ],
)
def test_a_wrong_entry_behind_a_known_one_is_no_part_of_the_name(
    text: str, target: str, detail: str | None, pixels: str
) -> None:
    spec = parse_spec(text, "encoder", KNOWN)
    assert (spec.target, spec.detail, spec.pixels) == (target, detail, pixels)


def test_an_unknown_name_says_what_was_meant() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown encoder 'clpi'\. Did you mean 'clip'\?"):
        resolve("clpi")


def test_org_and_name_without_the_prefix_says_how_to_write_it() -> None:
    with pytest.raises(WeightsMissingError, match="write hf:openai/clip"):
        resolve("openai/clip")


@pytest.mark.parametrize("text", ["./" + 300 * "a", "~/" + 300 * "a"])
def test_a_path_that_no_system_takes_is_one_that_is_not_there(text: str) -> None:
    with pytest.raises(WeightsMissingError, match="there is no model folder"):
        resolve(text)


def test_the_configuration_names_the_repository() -> None:
    assert resolve("clip").info.source == "openai/clip-vit-base-patch32"
    assert resolve("clip", sources={"clip": "org/other@v1"}).info.source == "org/other"


def test_a_name_that_only_the_configuration_has_works(tmp_path: Path) -> None:
    folder = tiny.dinov2(tmp_path / "model")
    handle = resolve("ours", sources={"ours": str(folder)})
    assert (handle.name, handle.info.family) == ("ours", "dinov2")


def test_a_configured_folder_is_what_its_config_says(tmp_path: Path) -> None:
    handle = resolve("clip", sources={"clip": str(tiny.dinov2(tmp_path / "model"))})
    assert handle.info.family == "dinov2"


def test_a_missing_model_is_one_line_with_the_way_out(no_hub: None) -> None:
    with pytest.raises(WeightsMissingError) as caught:
        resolve("clip").locate()
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        "clip",
        "openai/clip-vit-base-patch32",
        "hf download",
        "without one, take mini-clip (--align-standins",
        "clip=FOLDER",
        "clip=npy:FILE.npy",
    ):
        assert part in message
    assert "open_clip:" not in message  # it would have to be downloaded, too


def test_a_pickle_on_the_hub_is_one_line_with_the_same_weights_elsewhere(
    no_hub: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise WeightsMissingError("the weights are a pickle")

    monkeypatch.setattr(hub, "unreachable", lambda: None)
    monkeypatch.setattr(hub, "list_files", refuse)
    with pytest.raises(WeightsMissingError, match=r"open_clip:ViT-B-32/openai; or run mini-clip instead"):
        resolve("clip").locate()


def test_what_is_offered_without_a_network_is_understood(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.eye(3, dtype=np.float32))
    folder = tiny.dinov2(tmp_path / "model")
    assert resolve(f"clip={folder}").info.family == "dinov2"
    assert resolve(f"clip=npy:{tmp_path / 'x.npy'}").info.weights == "arrays"


def test_a_missing_model_without_stand_in_offers_none(no_hub: None) -> None:
    with pytest.raises(WeightsMissingError) as caught:
        resolve("paligemma").locate()
    assert "--align-standins" not in str(caught.value)


def test_a_missing_embedded_model_says_how_to_make_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(paths, "models_dir", lambda: tmp_path)
    with pytest.raises(WeightsMissingError, match=r"python -m alignbench\.zoo train mini-clip"):
        resolve("mini-clip").locate()


def test_an_embedded_model_loads_by_the_same_code(minis: Path) -> None:
    mini: Any = resolve("mini-clip")
    by_folder: Any = resolve(str(minis / "mini-clip"))
    assert mini.info.weights == "embedded"
    np.testing.assert_array_equal(mini.embed(tiny.images(2)), by_folder.embed(tiny.images(2)))


def test_a_stand_in_is_labelled_as_one(no_hub: None, minis: Path) -> None:
    handle = resolve("clip", standins=True, pooling="projected")
    assert handle.info.label == "mini-clip (stand-in for clip)"
    assert (handle.info.weights, handle.info.name) == ("stand-in", "mini-clip")
    assert handle.embed(tiny.images(2)).shape == (2, 20)


def test_a_stand_in_for_an_alias_names_the_alias(no_hub: None, minis: Path) -> None:
    assert resolve_llm("base=llama3", standins=True).info.label == "mini-llama (stand-in for base)"


def test_no_stand_in_runs_where_the_weights_are_at_hand(minis: Path, tmp_path: Path) -> None:
    folder = tiny.clip(tmp_path / "real")
    handle = resolve("clip", standins=True, sources={"clip": str(folder)})
    assert (handle.info.weights, handle.info.stand_in_for) == ("pretrained", None)


def test_the_choice_of_a_stand_in_asks_no_network(
    no_hub: None, minis: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "unreachable", lambda: pytest.fail("the network was asked"))
    assert resolve("clip", standins=True).info.weights == "stand-in"
    assert resolve_llm("llama", standins=True).info.weights == "stand-in"


@pytest.mark.parametrize("name", ["internvit", "paligemma"])
def test_a_family_without_embedded_model_has_no_stand_in(name: str, no_hub: None) -> None:
    with pytest.raises(ModelError, match="no built-in toy model of its family"):
        resolve(name, standins=True)


def test_an_llm_spec_is_not_an_encoder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="give it to --llms"):
        resolve("gguf:x.gguf")
    with pytest.raises(ModelError, match="give it to --encoders"):
        resolve_llm("timm:resnet50.a1_in1k")
    with pytest.raises(ModelError, match="no vision encoder that is known here"):
        resolve(str(tiny.llama(tmp_path / "llama"))).locate()


def test_the_control_needs_no_file() -> None:
    handle = resolve("random-vit")
    assert (handle.info.weights, handle.info.family) == ("random", "random-vit")
    assert handle.locate().at_hand
    vectors = handle.embed(tiny.images(2))
    assert vectors.shape == (2, 192)
    np.testing.assert_array_equal(resolve("random-vit").embed(tiny.images(2)), vectors)


class Colour:
    """The mean colour: an encoder in one line."""

    def embed(self, images: Any) -> Any:
        return np.stack([np.asarray(image, dtype=np.float64).mean(axis=(0, 1)) for image in images])


@pytest.mark.parametrize("entry", [Colour, Colour(), lambda: Colour()], ids=["class", "object", "function"])
def test_anything_with_embed_can_be_registered(entry: Any) -> None:
    ENCODERS.add("colour", entry)
    try:
        handle = resolve("mine=colour")
        assert (handle.name, handle.info.family) == ("mine", "other")
        values = handle.embed(tiny.images(3))
        assert values.shape == (3, 3)
        assert values.dtype == np.float32
        assert not hasattr(handle, "fingerprint")
    finally:
        ENCODERS.remove("colour")


def test_what_an_object_calls_weights_is_not_mistaken_for_ours() -> None:
    class Odd(Colour):
        weights = np.ones(3)
        params = print
        family = 7
        source = "my lab"

    ENCODERS.add("odd", Odd)
    try:
        info = resolve("odd").info
        assert (info.weights, info.params, info.family, info.source) == (
            "custom",
            {"l2": True},
            "other",
            "my lab",
        )
    finally:
        ENCODERS.remove("odd")


@pytest.mark.parametrize(
    ("registry", "find", "options", "named"),
    [
        (ENCODERS, resolve, {"pooling": "mean"}, "--align-pooling"),
        (ENCODERS, resolve, {"fit": "pad"}, "--align-fit"),
        (ENCODERS, resolve, {"layer": 0}, "--align-layer"),
        (LLMS, resolve_llm, {"layer": 0}, "--align-llm-layer"),
        (LLMS, resolve_llm, {"quantization": "4bit"}, "--align-quantize"),
        (LLMS, resolve_llm, {"max_length": 64}, "max_length"),
    ],
)
def test_what_a_registered_object_would_ignore_is_refused(
    registry: Any, find: Any, options: Any, named: str
) -> None:
    registry.add("colour", Colour)
    try:
        with pytest.raises(ModelError, match=f"^mine: a registered object takes no {named}; leave it out"):
            find("mine=colour", **options)
        assert find("colour", l2=False).info.params == {"l2": False}
        assert find("colour").info.params == {"l2": True}
    finally:
        registry.remove("colour")


def test_an_objects_own_wish_for_raw_rows_is_kept() -> None:
    class Raw(Colour):
        params: ClassVar[dict[str, Any]] = {"l2": False, "bins": 3}

    ENCODERS.add("raw", Raw)
    try:
        assert resolve("raw").info.params == {"l2": False, "bins": 3}
    finally:
        ENCODERS.remove("raw")


def test_an_entry_without_embed_is_refused() -> None:
    ENCODERS.add("nothing", object())
    try:
        with pytest.raises(ModelError, match=r"has no embed\(\) method"):
            resolve("nothing")
    finally:
        ENCODERS.remove("nothing")


def test_an_embed_that_gives_another_shape_is_refused() -> None:
    class Wrong:
        def embed(self, images: Any) -> Any:
            return np.zeros(len(images))

    ENCODERS.add("wrong", Wrong)
    try:
        with pytest.raises(ModelError, match=r"must give \[2, d\] for 2 items, got \(2,\)"):
            resolve("wrong").embed(tiny.images(2))
    finally:
        ENCODERS.remove("wrong")


def test_what_shapes_the_vectors_changes_the_fingerprint(tmp_path: Path) -> None:
    folder = tiny.clip(tmp_path / "model")
    base = resolve(str(folder)).fingerprint()
    assert resolve(str(folder)).fingerprint() == base
    assert resolve(f"other={folder}").fingerprint() == base
    assert resolve(str(folder), l2=False).fingerprint() == base
    for options in ({"pooling": "mean"}, {"layer": 1}, {"fit": "pad"}):
        assert resolve(str(folder), **options).fingerprint() != base
    tiny.rename_keys(folder, lambda key: key if key != "logit_scale" else None)
    assert resolve(str(folder)).fingerprint() != base


def test_another_preprocessing_changes_the_fingerprint(tmp_path: Path) -> None:
    folder = tiny.clip(tmp_path / "model")
    base = resolve(str(folder)).fingerprint()
    path = folder / "preprocessor_config.json"
    path.write_text(path.read_text(encoding="utf-8").replace("0.48145466", "0.5"), encoding="utf-8")
    assert resolve(str(folder)).fingerprint() != base


@pytest.mark.parametrize("options", [{"max_length": 64}, {"layer": 1}])
def test_what_shapes_an_llms_vectors_changes_its_fingerprint(options: Any, tmp_path: Path) -> None:
    folder = tiny.llama(tmp_path / "model")
    assert resolve_llm(str(folder), **options).fingerprint() != resolve_llm(str(folder)).fingerprint()


@pytest.mark.slow
def test_handles_import_no_torch(tmp_path: Path) -> None:
    encoder, llm = tiny.clip(tmp_path / "clip"), tiny.llama(tmp_path / "llama")
    code = f"""
import sys
from alignbench.encoders import resolve
from alignbench.llms import resolve as resolve_llm
for handle in (resolve({str(encoder)!r}), resolve_llm({str(llm)!r}), resolve("random-vit")):
    handle.locate(); handle.fingerprint(); handle.effective_dtype("cpu", "auto"); handle.info
for name in ("clip", "siglip", "internvit", "paligemma", "timm:resnet50.a1", "open_clip:ViT-B-32/x"):
    resolve(name).info.label
print(sorted({{"torch", "transformers", "timm", "open_clip", "PIL"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
