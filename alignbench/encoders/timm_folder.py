"""A foreign checkpoint of one of timm's architectures as a folder that timm and alignbench load."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from alignbench import __version__
from alignbench.encoders.base import Encoder
from alignbench.encoders.families import TIMM
from alignbench.encoders.options import EncoderOptions
from alignbench.encoders.pixels import parse_pixels
from alignbench.encoders.timm_models import OURS, PIXELS, check_architecture, timm_version
from alignbench.errors import ConfigError, ModelError
from alignbench.files import replacing_folder
from alignbench.weights.checkpoint import read_checkpoint
from alignbench.weights.convert import KeyMapping, convert
from alignbench.weights.digest import file_digest
from alignbench.weights.files import TRANSFORMERS, check_regular
from alignbench.weights.guard import guarded
from alignbench.weights.loading import rehearsal
from alignbench.weights.source import FolderSource
from alignbench.weights.spec import parse_spec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

ORIGIN = "conversion.json"
LARGEST_DIFFERENCE = 1e-4  # of the largest output: float32 in another order of summation stays below


@dataclass(frozen=True)
class TimmArchitecture:
    """A model of timm as a plan without weights.

    Args:
        name: the name, perhaps with a tag, whose preprocessing it then has.
        pixels: entries of the preprocessing that differ from timm's own.
    """

    name: str
    pixels: Mapping[str, Any]

    @classmethod
    def of(cls, spec: str) -> TimmArchitecture:
        """Return the architecture that `timm:NAME[+mean=...]` names.

        Raises:
            ConfigError: the text has another form.
            ModelError: timm has no such architecture.
        """
        expected = "expected timm:NAME, perhaps with +mean= or other preprocessing at its end"
        if not spec.removeprefix("timm:") or not spec.startswith("timm:"):
            raise ConfigError(f"--arch {spec}: {expected}, such as timm:resnet50")
        parsed = parse_spec(spec, "architecture", ())
        if parsed.kind != "timm" or parsed.detail:
            raise ConfigError(f"--arch {spec}: {expected}")
        check_architecture(parsed.target.partition(".")[0], "--arch")
        return cls(parsed.target, parse_pixels(parsed.pixels, spec))

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """The names and shapes of its tensors, with its classifier."""
        return dict(self._built().state_dict())

    @cached_property
    def heads(self) -> frozenset[str]:
        """The keys of its classifier."""
        return frozenset(self.tensors.keys() - self._built(num_classes=0).state_dict().keys())

    @cached_property
    def config(self) -> dict[str, Any]:
        """What config.json has to say: the architecture, and how an image becomes pixels."""
        from timm.data.config import resolve_model_data_config

        model = self._built()
        chosen = {OURS.get(key, key): value for key, value in self.pixels.items()}
        known = {**model.pretrained_cfg, **resolve_model_data_config(model), **chosen}
        how = {key: known[key] for key in PIXELS if known.get(key) is not None}
        return {
            "architecture": self.name.partition(".")[0],
            "num_classes": model.num_classes,
            "num_features": model.num_features,
            "pretrained_cfg": {
                **how,
                "num_classes": model.num_classes,
                "first_conv": known.get("first_conv"),
                "classifier": known.get("classifier"),
            },
        }

    def build(self, tensors: Mapping[str, Tensor]) -> Any:
        """Return timm's model with these weights, for evaluation; without a classifier if they have none."""
        import timm

        classes: dict[str, Any] = {} if self.heads <= tensors.keys() else {"num_classes": 0}
        model = timm.create_model(self.name, pretrained=False, **classes)
        model.load_state_dict(dict(tensors), strict=False)
        return model.eval()

    def _built(self, **options: Any) -> Any:
        import timm

        with rehearsal(), guarded(f"timm:{self.name}", "timm can't build it"):
            return timm.create_model(self.name, pretrained=False, **options)


@dataclass(frozen=True, eq=False)
class Reference:
    """What the original network gives for some pixels.

    Args:
        path: the file that says so.
        pixels: floats [n, 3, h, w].
        outputs: floats [n, d]: the values of its classifier, or the features before it.
    """

    path: Path
    pixels: NDArray[Any]
    outputs: NDArray[Any]

    @classmethod
    def read(cls, path: Path) -> Reference:
        """Read an .npz with the arrays `pixels` and `outputs`.

        Raises:
            ModelError: it has another form, or numbers that are not finite.
        """
        check_regular(path)
        with (
            guarded(str(path), "expected an .npz with the arrays pixels and outputs"),
            np.load(path, allow_pickle=False) as held,
        ):
            pixels, outputs = held["pixels"], held["outputs"]
        for name, array, ndim in (("pixels", pixels, 4), ("outputs", outputs, 2)):
            floats = array.size > 0 and array.dtype.kind == "f" and bool(np.isfinite(array).all())
            if array.ndim != ndim or not floats:
                form = "[n, 3, h, w]" if name == "pixels" else "[n, d]"
                raise ModelError(
                    f"{path}: {name} has shape {array.shape} of {array.dtype}; expected finite floats {form}"
                )
        if not outputs.any():
            raise ModelError(f"{path}: outputs are all zero, so nothing can be compared with them")
        if len(pixels) != len(outputs):
            raise ModelError(f"{path}: {len(pixels)} images in pixels, and {len(outputs)} rows in outputs")
        return cls(path, pixels, outputs)


@dataclass(frozen=True)
class ForeignCheckpoint:
    """A file of foreign weights, and the place of each of them in an architecture of timm.

    Args:
        file: the file.
        architecture: the architecture.
        tensors: the file's tensors under the architecture's keys.
        mapping: how their places were found.
    """

    file: Path
    architecture: TimmArchitecture
    tensors: Mapping[str, Tensor]
    mapping: KeyMapping

    @classmethod
    def read(cls, file: Path, spec: str, prefix: str | None = None) -> ForeignCheckpoint:
        """Read a file and find the places of its tensors.

        Args:
            file: safetensors, or a pickle of torch, of which only plain data are read.
            spec: `timm:NAME[+mean=...]`.
            prefix: the prefix of the keys to use; None to find it.

        Raises:
            ConfigError: the spec has another form.
            ModelError: the file can't be read, or its tensors are not those of the architecture.
        """
        architecture = TimmArchitecture.of(spec)
        theirs = read_checkpoint(file)
        mapping = convert(
            theirs,
            architecture.tensors,
            heads=architecture.heads,
            prefix=prefix,
            where=f"{file} as {spec}",
        )
        for place in mapping.placements:
            tensor = theirs[place.source]
            if not tensor.is_floating_point():
                raise ModelError(
                    f"{file}: {place.source} holds {tensor.dtype}; give the weights as plain floats"
                )
            if not bool(torch.isfinite(tensor).all()):
                raise ModelError(f"{file}: {place.source} has numbers that are not finite")
        return cls(file, architecture, mapping.applied(theirs), mapping)

    def write(self, folder: Path) -> None:
        """Write the folder, load it as a run would, and embed two images; it appears only if all that works.

        Args:
            folder: where there is nothing yet, or an empty folder.

        Raises:
            UnwritableError: the folder is not empty, or can't be written.
            ModelError: the folder does not load, or its vectors are not finite or do not depend on the image.
        """
        from safetensors.torch import save_file

        with replacing_folder(folder) as made:
            # One tensor may stand under two keys, and a slice holds on to the whole.
            whole = {key: tensor.contiguous().clone() for key, tensor in self.tensors.items()}
            save_file(whole, made / TRANSFORMERS, metadata={"format": "pt"})
            _write_json(made / "config.json", self._config())
            _write_json(made / ORIGIN, self._origin())
            # safetensors lets only the owner read its files.
            shutil.copymode(made / ORIGIN, made / TRANSFORMERS)
            check_folder(made, str(folder))

    def compare(self, reference: Reference) -> float:
        """Return the largest difference from the original network's outputs, as a share of the largest one.

        max |ours - theirs| / max |theirs|, on the CPU in float32.

        Args:
            reference: what the original network gave.

        Raises:
            ModelError: its pixels or outputs do not fit the network, or the difference is larger than
                `LARGEST_DIFFERENCE`.
        """
        path, outputs = reference.path, reference.outputs.astype(np.float64)
        model = self.architecture.build(self.tensors).float()
        with torch.inference_mode(), guarded(str(path), "the converted network can't take its pixels"):
            features = model.forward_features(torch.from_numpy(reference.pixels).float())
            given = [
                model.forward_head(features, pre_logits=alone).double().numpy() for alone in (False, True)
            ]
        fitting = [values for values in given if values.shape == outputs.shape]
        if not fitting:
            shapes = " or ".join(str(values.shape) for values in given)
            raise ModelError(f"{path}: outputs {outputs.shape}; the converted network gives {shapes}")
        apart = min(float(np.abs(values - outputs).max()) for values in fitting)
        difference = apart / float(np.abs(outputs).max())
        if not difference <= LARGEST_DIFFERENCE:
            raise ModelError(
                f"{path}: the converted network's outputs differ by {difference:.2g} of the largest one "
                f"(at most {LARGEST_DIFFERENCE:g}), so the mapping, the architecture or the file is another "
                f"one; nothing is written"
            )
        return difference

    def _config(self) -> dict[str, Any]:
        config = self.architecture.config
        if self.architecture.heads <= self.tensors.keys():
            return config
        return {**config, "num_classes": 0, "pretrained_cfg": {**config["pretrained_cfg"], "num_classes": 0}}

    def _origin(self) -> dict[str, Any]:
        return {
            "file": self.file.name,
            "sha256": file_digest(self.file),
            "architecture": self.architecture.name,
            "alignbench": __version__,
            "timm": timm_version(),
            "prefix": self.mapping.prefix,
            "tensors": {
                place.target: {"from": place.source, "found_by": place.how}
                for place in self.mapping.placements
            },
            "left_out": dict(self.mapping.left_out),
        }


def check_folder(folder: Path, label: str) -> None:
    """Load a folder of timm as a run would, and embed two images.

    Args:
        folder: the folder.
        label: its name in errors.

    Raises:
        ModelError: it does not load, or its vectors are not finite or do not depend on the image.
    """
    encoder = Encoder("converted", FolderSource(folder, label), EncoderOptions(), family=TIMM)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    encoder.examine()
    encoder.load("cpu", "float32")
    try:
        with np.errstate(invalid="ignore"):  # infinite numbers are an error below
            vectors = encoder.embed([Image.fromarray(noise), Image.fromarray(255 - noise)])
    finally:
        encoder.unload()
    if not np.isfinite(vectors).all():
        raise ModelError(f"{label}: the converted network's vectors of two images are not finite")
    if np.array_equal(*vectors):
        raise ModelError(f"{label}: the converted network gives two different images the same vector")


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
