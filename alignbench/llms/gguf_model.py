"""Loading a GGUF file through transformers: with all its tensors, no others, and its own tokenizer."""

from __future__ import annotations

import contextlib
import math
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from alignbench.errors import ModelError
from alignbench.llms.gguf_header import number, read_header
from alignbench.weights.guard import guarded
from alignbench.weights.keys import check_keys
from alignbench.weights.loading import check_loaded, quiet, transformers_class

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from transformers import PreTrainedModel

    from alignbench.llms.gguf_header import Header, Tensor

_ROPE = "rope_freqs.weight"
_FLOAT32 = 0
# LLaMA 3.1 and later; only the factor differs between them.
_LLAMA3: dict[str, Any] = {
    "rope_type": "llama3",
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def save_plain(file: Path, named: Path, folder: Path) -> None:
    """Write a GGUF file as a folder in the transformers layout, in float32, with its tokenizer.

    Args:
        file: the file with the whole model.
        named: its name in errors.
        folder: the destination.

    Raises:
        ModelError: transformers can't read it, a tensor is missing, or one has no place in the model.
    """
    header = read_header(file)
    with quiet(), _alone(file) as apart, guarded(str(named), "transformers can't read it"):
        model, info = transformers_class("AutoModelForCausalLM").from_pretrained(
            apart.parent,
            gguf_file=apart.name,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are named below
            local_files_only=True,
            trust_remote_code=False,
        )
        check_loaded(model, info, str(named), whole=True)
        tokenizer = transformers_class("AutoTokenizer").from_pretrained(
            apart.parent, gguf_file=apart.name, local_files_only=True, trust_remote_code=False
        )
        _check_nothing_is_left(header, model, str(named))
        _follow_rope(file, header, model.config, str(named))
        vars(model.config).pop("quantization_config", None)
        # A new model: the one that was read remembers that it was quantized, and would refuse to be saved.
        plain = type(model)(model.config)
        plain.load_state_dict(model.state_dict())
        plain.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[Path]:
    # transformers would also read a tokenizer, a configuration or an adapter beside a GGUF file.
    with tempfile.TemporaryDirectory(prefix="alignbench-") as folder:
        apart = Path(folder) / "model.gguf"
        try:
            apart.symlink_to(file)
        except OSError:  # a system, or an account, without links
            shutil.copyfile(file, apart)
        yield apart


def _check_nothing_is_left(header: Header, model: PreTrainedModel, named: str) -> None:
    """Raise if the file holds more numbers than the model: some readers omit tensors silently."""
    taken = [tensor for tensor in header.tensors if not _is_left_out_on_purpose(tensor, header, model.config)]
    held = sum(math.prod(tensor.shape) for tensor in taken)
    places = {tensor.data_ptr(): tensor.numel() for tensor in model.state_dict().values()}
    if held > sum(places.values()):
        check_keys(named, type(model).__name__, unexpected=_unplaced(taken, header, model), whole=True)


def _is_left_out_on_purpose(tensor: Tensor, header: Header, config: Any) -> bool:
    family = str(header.values["general.architecture"])
    predicting = number(header.values, f"{family}.nextn_predict_layers")
    first = number(header.values, f"{family}.block_count") - predicting
    parts = tensor.name.split(".")
    # Blocks that only predict the token after next; and a head that the architecture ties to its embeddings.
    ahead = predicting > 0 and parts[0] == "blk" and parts[1].isdigit() and int(parts[1]) >= first
    return tensor.name == _ROPE or ahead or (tensor.name == "output.weight" and config.tie_word_embeddings)


def _unplaced(tensors: list[Tensor], header: Header, model: torch.nn.Module) -> list[str]:
    import gguf

    family = str(header.values["general.architecture"])
    known = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
    blocks = number(header.values, f"{family}.block_count")
    names = gguf.get_tensor_name_map(known[family], blocks) if family in known else None
    placed = {names and names.get_name(key, (".weight", ".bias")) for key in model.state_dict()}
    return [tensor.name for tensor in tensors if tensor.name not in placed] or [tensors[-1].name]


def _follow_rope(file: Path, header: Header, config: Any, named: str) -> None:
    """Add to the configuration what the file says about its positions and transformers does not read.

    Raises:
        ModelError: they are scaled in an unknown way.
    """
    family = str(header.values["general.architecture"])
    rope = dict(getattr(config, "rope_parameters", None) or {})
    kind = header.values.get(f"{family}.rope.scaling.type", "none")
    factor = header.values.get(f"{family}.rope.scaling.factor", 1.0)
    other = next((t.name for t in header.tensors if t.name.startswith("rope_factors_")), None)
    if rope.get("rope_type", "default") == "default":
        if other is not None or (kind != "none" and factor != 1.0):
            raise ModelError(
                f"{named}: its positions are stretched ({other or f'{kind}, factor {factor}'}), which "
                f"transformers does not take from a GGUF file; give the model's safetensors instead"
            )
        factors = _factors(file, header, named)
        if factors is not None and not np.allclose(factors, 1.0):
            stretch = round(float(factors.max()), 3)
            told = llama3_factors(float(rope.get("rope_theta", 1e4)), 2 * len(factors), stretch)
            if not np.allclose(factors, told, rtol=1e-3):
                raise ModelError(
                    f"{named}: its tensor {_ROPE} stretches positions in another way than LLaMA 3 does; give "
                    f"the model's safetensors instead"
                )
            config.rope_parameters = {**rope, **_LLAMA3, "factor": stretch}


def llama3_factors(theta: float, dims: int, factor: float) -> NDArray[np.float64]:
    """Return the divisors that LLaMA 3 applies to the frequencies of its positions: float64 [dims / 2].

    1 for wavelengths w < o / h, `factor` for w > o / l, and 1 / ((1 - s) / factor + s) between them, with
    s = (o / w - l) / (h - l), o = 8192, l = 1, h = 4.

    Source: `rope_parameters` of the configurations; the same is in convert_hf_to_gguf.py of llama.cpp.
    """
    low, high, original = (
        _LLAMA3[name] for name in ("low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
    )
    waves = 2 * np.pi * theta ** (np.arange(0, dims, 2) / dims)
    smooth = (original / waves - low) / (high - low)
    between = 1 / ((1 - smooth) / factor + smooth)
    return np.asarray(
        np.where(waves < original / high, 1.0, np.where(waves > original / low, factor, between))
    )


def _factors(file: Path, header: Header, named: str) -> NDArray[np.float32] | None:
    tensor = next((tensor for tensor in header.tensors if tensor.name == _ROPE), None)
    if tensor is None:
        return None
    if tensor.kind != _FLOAT32:
        raise ModelError(
            f"{named}: its tensor {_ROPE} is not of float32; give the model's safetensors instead"
        )
    return np.fromfile(file, "<f4", math.prod(tensor.shape), offset=header.data + tensor.offset)
