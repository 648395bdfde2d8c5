"""Loading with transformers: explicit configuration, no code from a repository, no silently random tensor."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import torch

from alignbench.errors import ModelError
from alignbench.weights.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from alignbench.weights.precision import Precision
    from alignbench.weights.source import Located

# torch's own message goes on to explain how to run the code in it.
_MORE_THAN_TENSORS = "its pickle holds more than tensors, which could run code; it is refused"


def torch_dtype(name: str) -> torch.dtype:
    """Return torch's dtype of that name."""
    dtype = getattr(torch, name)
    assert isinstance(dtype, torch.dtype)
    return dtype


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' load reports and bars out of the terminal: what matters in them is raised."""
    from transformers.utils import logging as hf_logging

    level, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity(logging.CRITICAL)
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()


def load_model(
    cls: Any,
    located: Located,
    *,
    config: Any,
    precision: Precision,
    state: dict[str, torch.Tensor] | None = None,
    **options: Any,
) -> Any:
    """Return a transformers model in evaluation mode with every weight from the checkpoint.

    Args:
        cls: the model's class.
        located: where its files are.
        config: the configuration, made by us: a composite one may carry the wrong widths.
        precision: whose `weights` dtype is used.
        state: tensors under the model's own names, where the checkpoint has others; nothing else is read.
        options: further arguments of `from_pretrained` (key_mapping, device_map, attn_implementation, ...).

    Raises:
        ModelError: keys are missing or have another shape, or the files can't be read.
    """
    from safetensors import SafetensorError

    where = None if state is not None else str(located.folder)
    with quiet():
        try:
            model, info = cls.from_pretrained(
                where,
                config=config,
                state_dict=state,
                dtype=torch_dtype(precision.weights),
                output_loading_info=True,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=all(path.suffix == ".safetensors" for path in located.weights),
                weights_only=True,
                **options,
            )
        except UnpicklingError as error:
            raise ModelError(f"{located.source}: {_MORE_THAN_TENSORS}") from error
        except (OSError, RuntimeError, ValueError, KeyError, SafetensorError) as error:
            raise ModelError(f"{located.source}: {cls.__name__} can't load it ({one_line(error)})") from error
    check_complete(located.source, cls.__name__, info["missing_keys"], info["mismatched_keys"])
    return cast_ahead(model.eval(), precision)


def cast_ahead(model: Any, precision: Precision) -> Any:
    """Hold linear layers in the dtype that autocast would cast them to, again in every batch.

    Nothing else changes: the same numbers come out, to the last bit, sooner and from less memory.
    """
    if precision.autocast is None:
        return model
    owners = Counter(id(p) for module in model.modules() for p in module.parameters(recurse=False))
    for module in model.modules():
        # By the exact type: quantized layers are subclasses. A tied weight stays as its other owner needs it.
        if type(module) is torch.nn.Linear and owners[id(module.weight)] == 1:
            module.to(torch_dtype(precision.autocast))
    return model


def check_complete(
    source: str, what: str, missing: Sequence[str] | set[str], mismatched: Sequence[Any] | set[Any] = ()
) -> None:
    """Raise if a weight of the model did not come from the checkpoint: it would be random.

    Raises:
        ModelError: with the number of keys and one of them.
    """
    for problem, keys in (("missing from", missing), ("of another shape in", mismatched)):
        if keys:
            first = min(str(key if isinstance(key, str) else key[0]) for key in keys)
            raise ModelError(
                f"{source}: {len(keys)} weights of {what} are {problem} the checkpoint, as {first!r}; "
                f"they would be random, so it is refused"
            )


def read_tensors(
    files: Sequence[Path], wanted: tuple[str, ...] | None = None, *, dtype: torch.dtype | None = None
) -> dict[str, torch.Tensor]:
    """Return the tensors of safetensors files whose keys start with one of `wanted`, read one by one.

    Raises:
        ModelError: a file is cut off or is no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    tensors: dict[str, torch.Tensor] = {}
    for path in files:
        try:
            with safe_open(path, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118 (not a mapping)
                    if wanted is None or key.startswith(wanted):
                        tensor = file.get_tensor(key)
                        tensors[key] = tensor if dtype is None else tensor.to(dtype)
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path}: not a readable safetensors file ({one_line(error)})") from error
    return tensors


def read_pickle(file: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a pickled checkpoint, without running what else it may hold.

    Raises:
        ModelError: it holds more than tensors, or can't be read.
    """
    try:
        tensors: dict[str, torch.Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise ModelError(f"{file}: {_MORE_THAN_TENSORS}") from error
    except (OSError, RuntimeError, EOFError) as error:
        raise ModelError(f"{file}: can't be read ({one_line(error)})") from error
    return tensors


def place(model: Any, device: str) -> Any:
    """Move a model to its device.

    Raises:
        ModelError: torch can't use that device.
    """
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(
            f"torch can't use device {device!r} ({one_line(error)}); try --align-device cpu"
        ) from error


@contextlib.contextmanager
def computing(precision: Precision, device: str) -> Iterator[None]:
    """Run the body without gradients, in the arithmetic of `precision`."""
    dtype = torch_dtype(precision.autocast) if precision.autocast else None
    with (
        torch.inference_mode(),
        torch.autocast(device.partition(":")[0], dtype=dtype, enabled=dtype is not None),
    ):
        yield


def hidden_layer(states: Sequence[torch.Tensor], layer: int) -> torch.Tensor:
    """Return a hidden state: 0 is the input embeddings, -1 the last layer.

    Raises:
        ModelError: there is no such layer.
    """
    last = len(states) - 1
    if not -len(states) <= layer <= last:
        raise ModelError(
            f"layer {layer}: this model has layers 0 (embeddings) to {last}, or -1 to {-len(states)}"
        )
    return states[layer]


def transformers_class(name: str) -> Any:
    """Return a class of transformers.

    Raises:
        ModelError: this version has none of that name.
    """
    import transformers

    try:
        return getattr(transformers, name)
    except (AttributeError, ImportError) as error:
        raise ModelError(f"transformers {transformers.__version__} has no {name}; a newer one may") from error


def auto_config(folder: Path) -> Any:
    """Return transformers' configuration of a folder.

    Raises:
        ModelError: this version of transformers does not know its model_type.
    """
    with quiet():
        try:
            # False is explicit: left out, transformers asks on stdin where a repository brings code.
            return transformers_class("AutoConfig").from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(
                f"{folder}: transformers can't read its config.json ({one_line(error)})"
            ) from error


def build_config(cls_name: str, values: Mapping[str, Any]) -> Any:
    """Return a transformers configuration from plain JSON values."""
    make: Callable[..., Any] = transformers_class(cls_name)
    # These belong to the file, not to the architecture; dtype is given when loading.
    drop = {
        "model_type",
        "architectures",
        "torch_dtype",
        "dtype",
        "transformers_version",
        "auto_map",
        "_name_or_path",
    }
    return make(**{key: value for key, value in values.items() if key not in drop})


def one_line(error: BaseException) -> str:
    """Return an error's type and message, without line breaks and cut to a readable length."""
    return f"{type(error).__name__}: {printable(str(error))[:200]}"
