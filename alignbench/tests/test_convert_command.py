"""`alignbench convert`: what a file must hold, what is written, and that its vectors are the file's."""

from __future__ import annotations

import argparse
import io
import json
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from timm.data.config import resolve_model_data_config
from timm.data.transforms_factory import create_transform

from alignbench.cli import main
from alignbench.encoders import resolve
from alignbench.weights.digest import file_digest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VIT, NET = "test_vit", "test_efficientnet"  # timm's own, of 0.4 million parameters each


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command; returns its exit status and what it printed."""

    def run(*argv: object) -> tuple[int, str, str]:
        status = main(["convert", *map(str, argv)])
        out, err = capsys.readouterr()
        return status, out, err

    return run


def network(name: str, **options: Any) -> Any:
    torch.manual_seed(3)
    model = timm.create_model(name, pretrained=False, **options).eval()
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(0.05 * torch.rand_like(tensor))  # so that no two tensors are the same
    return model


def foreign(model: Any) -> dict[str, torch.Tensor]:
    """Return the weights under names of which none is timm's, in the same order."""
    return {
        ".".join(f"m_{part}" for part in key.split(".")[:-1]) + "." + key.split(".")[-1]: tensor
        for key, tensor in model.state_dict().items()
    }


def pixels_and_outputs(model: Any, size: int, path: Path, **changed: Any) -> Path:
    pixels = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        features = model.forward_features(pixels)
        outputs = model.forward_head(features, pre_logits="features" in path.stem).numpy()
    np.savez(path, **{"pixels": pixels.numpy(), "outputs": outputs, **changed})
    return path


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_folder_gives_the_vectors_of_the_file(
    tmp_path: Path, said: Callable[..., tuple[int, str, str]], suffix: str
) -> None:
    model = network(VIT)
    file, folder = tmp_path / f"w{suffix}", tmp_path / "to" / "vit"
    state = {f"module.{key}": value for key, value in model.state_dict().items()}
    save_file(state, file) if suffix == ".safetensors" else torch.save(
        {"state_dict": state, "epoch": 3}, file
    )
    status, out, err = said(file, "--arch", f"timm:{VIT}", "--to", folder)
    assert (status, err) == (0, "")
    assert "module. is in front of each of their names in the file" in out
    assert f"written     {folder}" in out
    own = resolve(str(folder))
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (90, 70, 3), dtype=np.uint8))
    own.load("cpu", "float32")
    transform = create_transform(**resolve_model_data_config(model), is_training=False)
    with torch.inference_mode():
        direct = model.forward_head(model.forward_features(transform(image)[None]), pre_logits=True)[
            0
        ].numpy()
    assert own.embed([image])[0] == pytest.approx(direct / np.linalg.norm(direct), abs=1e-5)
    origin = json.loads((folder / "conversion.json").read_text(encoding="utf-8"))
    assert origin["sha256"] == file_digest(file)
    assert {entry["found_by"] for entry in origin["tensors"].values()} == {"name"}
    assert len(origin["tensors"]) == len(state)
    # timm reads the folder, too.
    again = timm.create_model(f"local-dir:{folder}", pretrained=True)
    assert torch.equal(again.state_dict()["cls_token"], model.state_dict()["cls_token"])


@pytest.mark.slow
def test_foreign_names_are_checked_against_the_original_outputs(
    tmp_path: Path, said: Callable[..., tuple[int, str, str]]
) -> None:
    model = network(NET)
    torch.save(foreign(model), tmp_path / "w.pt")
    reference = pixels_and_outputs(model, 128, tmp_path / "ref.npz")
    given = (tmp_path / "w.pt", "--arch", f"timm:{NET}", "--reference", reference)
    status, out, _ = said(*given)
    assert "reference   the outputs differ by at most " in out
    assert (status, out.splitlines()[-1]) == (0, "written     nothing; name a folder with --to")
    status, out, err = said(*given, "--to", tmp_path / "a")
    assert (status, err) == (0, "")
    assert "the outputs differ by at most " in out
    origin = json.loads((tmp_path / "a" / "conversion.json").read_text(encoding="utf-8"))
    shown = {
        line.split()[1]: " ".join(line.split()[2:]) for line in out.partition("\n\n")[0].splitlines()[2:]
    }
    assert set(shown) == set(origin["tensors"])
    for key, entry in origin["tensors"].items():
        assert shown[key].endswith(f" {entry['found_by']}"), key
    written = load_file(tmp_path / "a" / "model.safetensors")
    own = model.state_dict()
    assert all(torch.equal(value, own[key]) for key, value in written.items())
    assert set(own) - set(written) == {key for key in own if key.endswith("num_batches_tracked")}
    # Features before the classifier are outputs, too.
    features = pixels_and_outputs(model, 128, tmp_path / "features.npz")
    assert said(*given[:3], "--reference", features, "--to", tmp_path / "b")[0] == 0
    # The weights of another network are noticed, and leave no folder.
    other = {key: value.flip(0) for key, value in foreign(model).items()}
    torch.save(other, tmp_path / "w.pt")
    status, _, err = said(*given, "--to", tmp_path / "c")
    assert status == 4
    assert "the converted network's outputs differ by" in err
    assert not (tmp_path / "c").exists()


@pytest.mark.slow
def test_another_classifier_is_left_out_and_named(
    tmp_path: Path, said: Callable[..., tuple[int, str, str]]
) -> None:
    model = network(VIT, num_classes=5)
    torch.save({"model": model.state_dict(), "optimizer": {"state": {0: torch.ones(2)}}}, tmp_path / "w.pth")
    reference = pixels_and_outputs(model, 160, tmp_path / "features.npz")
    folder = tmp_path / "vit"
    status, out, err = said(
        tmp_path / "w.pth", "--arch", f"timm:{VIT}+mean=.25", "--to", folder, "--reference", reference
    )
    assert (status, err) == (0, "")
    assert "left out    2 tensors, a classification head: head.weight, head.bias" in out
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["num_classes"] == config["pretrained_cfg"]["num_classes"] == 0
    assert config["pretrained_cfg"]["mean"] == [0.25] * 3
    assert "head.weight" not in load_file(folder / "model.safetensors")


class Evil:
    """Would write a file if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (open, (str(self.path), "w"))


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_hostile_and_foreign_files_are_refused_in_one_line(
    tmp_path: Path, said: Callable[..., tuple[int, str, str]]
) -> None:
    state = network(VIT).state_dict()
    looped: dict[str, Any] = {"a": 1}
    looped["self"] = looped
    broken = {**state, "norm.bias": torch.full((64,), float("nan"))}
    integers = {**state, "norm.bias": torch.zeros(64, dtype=torch.int8)}
    halves = {"a.b": torch.ones(1), "a": {"b": torch.ones(1)}}
    cases = {
        "holds more than tensors, which could run code; it is refused (": {
            **state,
            "x": Evil(tmp_path / "ran"),
        },
        "it is refused (argparse.Namespace)": {"model": state, "args": argparse.Namespace(lr=1)},
        "no table of tensors by name (list)": [torch.ones(2)],
        "no table of tensors by name (dict)": looped,
        "two of its tensors are called 'a.b'": halves,
        "norm.bias has numbers that are not finite": broken,
        "norm.bias holds torch.int8": integers,
        "1 missing: norm.bias (64,)": {key: value for key, value in state.items() if key != "norm.bias"},
    }
    for words, held in cases.items():
        torch.save(held, tmp_path / "w.pt")
        status, _, err = said(tmp_path / "w.pt", "--arch", f"timm:{VIT}", "--to", tmp_path / "to")
        assert (status, err.count("\n")) == (4, 1), err
        assert words in err
    # Weights whose outputs overflow.
    loud = {**state, **{f"norm.{key}": torch.full((64,), 3e38) for key in ("weight", "bias")}}
    torch.save(loud, tmp_path / "w.pt")
    status, _, err = said(tmp_path / "w.pt", "--arch", f"timm:{VIT}", "--to", tmp_path / "to")
    assert (status, err.count("\n")) == (4, 1), err
    assert "vectors of two images are not finite" in err
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "w.pt")
    assert "can't be read" in said(tmp_path / "w.pt", "--arch", f"timm:{VIT}")[2]
    # A network that sees nothing of its image is noticed by its vectors only.
    torch.save({**state, "patch_embed.proj.weight": torch.zeros(64, 3, 16, 16)}, tmp_path / "w.pt")
    status, _, err = said(tmp_path / "w.pt", "--arch", f"timm:{VIT}", "--to", tmp_path / "to")
    assert (status, "gives two different images the same vector" in err) == (4, True), err
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "to").exists()


@pytest.mark.filterwarnings("error")
def test_a_file_of_another_form_is_told_without_the_words_of_torch(
    tmp_path: Path, said: Callable[..., tuple[int, str, str]]
) -> None:
    state = {"weight": torch.arange(5000.0)}
    zipped, pickled, newer, array = (io.BytesIO() for _ in range(4))
    torch.save(state, zipped)
    torch.save(state, pickled, _use_new_zipfile_serialization=False)
    torch.save(state, newer, pickle_protocol=4)
    np.savez(array, weight=state["weight"].numpy())
    whole, file = zipped.getvalue(), tmp_path / "w.pt"
    for content, words in (
        (b"hello, this is a text", "it is no checkpoint of torch, which is a zip archive or a pickle"),
        (b"P", "it is no checkpoint of torch, which is a zip archive or a pickle"),
        (whole[: len(whole) // 2], "it is cut off or damaged; copy it again"),
        (whole[:-10], "it is cut off or damaged; copy it again"),
        (whole[:10], "it is cut off or damaged; copy it again"),
        (array.getvalue(), "it is a zip archive, but no checkpoint of torch"),
        (pickled.getvalue()[:-100], "copy it again, or save the model's state_dict()"),
        (newer.getvalue(), "it is no pickle of torch, or its pickle holds more than tensors"),
        (b"\x80\4no checkpoint", "it is no pickle of torch, or its pickle holds more than tensors"),
    ):
        file.write_bytes(content)
        status, out, err = said(file, "--arch", f"timm:{VIT}")
        assert (status, out, err.count("\n")) == (4, "", 1), err
        assert f"{file}: " in err
        assert words in err
        assert "miniz" not in err


@pytest.mark.slow
def test_wrong_arguments_are_refused_in_one_line(
    tmp_path: Path, said: Callable[..., tuple[int, str, str]]
) -> None:
    file, full, empty = tmp_path / "w.pt", tmp_path / "full", tmp_path / "empty.pt"
    empty.touch()
    model, wrong = network(VIT), np.zeros((2, 7), dtype=np.float32)
    torch.save(model.state_dict(), file)
    full.mkdir()
    (full / "mine.txt").write_text("mine", encoding="utf-8")
    cases: list[tuple[tuple[object, ...], str]] = [
        ((file, "--arch", f"timm:{VIT}", "--to", full), "the folder is not empty"),
        ((file, "--arch", f"timm:{VIT}", "--to", file), "there is a file where a folder is needed"),
        ((file, "--arch", "timm:test_vitt"), "Did you mean 'test_vit'?"),
        ((file, "--arch", "clip"), "--arch clip: expected timm:NAME"),
        ((file, "--arch", "hf:org/name"), "expected timm:NAME"),
        ((file, "--arch", "resnet18"), "--arch resnet18: expected timm:NAME"),
        ((file, "--arch", "timm:"), "--arch timm:: expected timm:NAME"),
        ((file, "--arch", f"timm:{VIT}+size=3"), "expected +mean"),
        ((file, "--arch", f"timm:{VIT}+mean=.5+crap=.3"), "interpolation, got +crap"),
        ((file, "--arch", f"timm:{NET}"), "as timm:test_efficientnet (behind"),
        ((tmp_path / "none.pt", "--arch", f"timm:{VIT}"), "there is no such file"),
        ((tmp_path / ("a" * 300), "--arch", f"timm:{VIT}"), "there is no such file"),
        ((empty, "--arch", f"timm:{VIT}"), "it is empty; copy it again"),
        ((file, "--arch", f"timm:{VIT}", "--to", tmp_path / "to", "--reference", file), "expected an .npz"),
    ]
    for name, changed, words in (
        ("a", {"outputs": wrong + 1}, "outputs (2, 7); the converted network gives (2, 1000) or (2, 64)"),
        ("b", {"outputs": wrong[:1] + 1}, "2 images in pixels, and 1 rows in outputs"),
        ("c", {"pixels": wrong}, "pixels has shape (2, 7)"),
        ("d", {"outputs": np.full((2, 64), np.nan)}, "expected finite floats [n, d]"),
        ("e", {"outputs": np.zeros((2, 64))}, "outputs are all zero"),
        ("f", {"pixels": np.ones((2, 3, 50, 50))}, "can't take its pixels"),
        ("g", {"outputs": np.array([[Evil(tmp_path / "ran")]], dtype=object)}, "expected an .npz"),
    ):
        reference = pixels_and_outputs(model, 160, tmp_path / f"{name}.npz", **changed)
        cases.append(
            ((file, "--arch", f"timm:{VIT}", "--to", tmp_path / "to", "--reference", reference), words)
        )
    beside = "the converted network"  # what only its outputs tell is told below the mapping
    for argv, words in cases:
        status, out, err = said(*argv)
        assert (status, err.count("\n"), bool(out)) == (4, 1, beside in err), err
        assert words in err, err
    assert [path.name for path in full.iterdir()] == ["mine.txt"]
    assert not {path.name for path in tmp_path.iterdir()} & {"to", "ran"}
    assert not list(tmp_path.glob(".tmp-*"))
