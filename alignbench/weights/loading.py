"""Loading with transformers: explicit configuration, no code from a repository, no silently random tensor."""

from __future__ import annotations

import contextlib
import logging
import re
import warnings
import zipfile
from collections import Counter
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from alignbench.errors import ModelError
from alignbench.weights.files import check_regular
from alignbench.weights.guard import guarded
from alignbench.weights.headers import safetensors_header
from alignbench.weights.keys import check_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from transformers import PreTrainedModel

    from alignbench.weights.precision import Precision
    from alignbench.weights.request import LoadRequest
    from alignbench.weights.source import Location

M = TypeVar("M", bound=torch.nn.Module)
State = TypeVar("State")
_AGAIN = "copy the model again, or take another one"
_SAVE_AGAIN = "copy it again, or save the model's state_dict()"
_MORE_THAN_TENSORS = "its pickle holds more than tensors, which could run code; it is refused"
_REFUSED_OBJECT = re.compile(r"GLOBAL ([\w.]{1,80})")  # in torch's message
# How what `torch.save` writes begins: a zip archive, or before torch 1.6 a pickle.
_ZIP, _PICKLE = b"PK\3\4", b"\x80"


def torch_dtype(name: str) -> torch.dtype:
    """Return torch's dtype of that name."""
    dtype = getattr(torch, name)
    assert isinstance(dtype, torch.dtype)
    return dtype


@contextlib.contextmanager
def rehearsal() -> Iterator[None]:
    """Give everything loaded inside names and shapes but no numbers, on device "meta".

    Only the header of a weight file is read, and all checks of a load are made.
    """
    with torch.device("meta"):
        yield


def rehearsing() -> bool:
    """Return whether models are loaded without numbers here."""
    return torch.get_default_device().type == "meta"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' load reports and progress bars off the terminal: relevant problems raise errors."""
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
    cls: type[PreTrainedModel],
    located: Location,
    *,
    config: Any,
    precision: Precision,
    state: dict[str, torch.Tensor] | None = None,
    **options: Any,
) -> Any:
    """Return a transformers model in evaluation mode with every weight from the checkpoint.

    transformers gets tensors, never a path: with a path, it would look for files itself, read an index again,
    and apply an adapter that lies beside them. So exactly the files that were found, verified and digested
    are loaded.

    Args:
        cls: the model's class.
        located: the location of its files.
        config: the configuration, built by us: a composite one may have the wrong widths.
        precision: the arithmetic, whose `weights` dtype is used.
        state: tensors under the model's own names, if the checkpoint uses others; no file is read then.
        options: further arguments of `from_pretrained` (key_mapping, device_map, attn_implementation, ...).

    Raises:
        ModelError: keys are missing, have another shape, or are left over and imply another model; or the
            files can't be read.
    """
    tensors = read_tensors(located.weights) if state is None else state
    if rehearsing():
        options["device_map"] = {"": "meta"}
    # transformers declares only what it returns without the loading info
    read: Callable[..., tuple[PreTrainedModel, Mapping[str, Any]]] = cls.from_pretrained  # type: ignore[assignment]
    with quiet(), guarded(located.source, f"{cls.__name__} can't load it", _AGAIN):
        model, info = read(
            None,
            config=config,
            state_dict=tensors,
            dtype=torch_dtype(precision.weights),
            # By default, transformers follows the configuration's choice, which may be a repository of
            # kernels.
            attn_implementation=None,
            output_loading_info=True,
            local_files_only=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # they are reported below
            **options,
        )
    check_loaded(model, info, located.source)
    return cast_ahead(model.eval(), precision)


def load_placed(
    request: LoadRequest[Any],
    name: str,
    config: Any,
    state: dict[str, torch.Tensor] | None = None,
    **options: Any,
) -> Any:
    """Return a transformers model on the device that was requested; see `load_model`.

    Args:
        request: what it is loaded from.
        name: the name of the model's class.
        config: the configuration, built by us.
        state: tensors under the model's own names, if the checkpoint uses others; no file is read then.
        options: further arguments of `from_pretrained`.

    Raises:
        ModelError: see `load_model`.
    """
    cls, precision = transformers_class(name), request.precision
    model = load_model(cls, request.located, config=config, precision=precision, state=state, **options)
    return place(model, request.device)


def check_loaded(
    model: PreTrainedModel, info: Mapping[str, Any], source: str, *, whole: bool = False
) -> None:
    """Raise unless transformers' load report says that model and checkpoint belong together.

    Raises:
        ModelError: see `check_keys`.
    """
    check_keys(
        source,
        type(model).__name__,
        missing=info["missing_keys"],
        mismatched=info["mismatched_keys"],
        unexpected=info["unexpected_keys"],
        own=_names(model),
        prefix=model.base_model_prefix,
        whole=whole,
    )


def fill(model: torch.nn.Module, tensors: Mapping[str, torch.Tensor], source: str, what: str) -> None:
    """Give a module of torch its weights.

    Raises:
        ModelError: see `check_keys`.
    """
    own = model.state_dict()
    shapes = {key: (tensor.shape, own[key].shape) for key, tensor in tensors.items() if key in own}
    other = [(key, *pair) for key, pair in shapes.items() if pair[0] != pair[1]]
    # torch reports differing shapes in many lines, and knows which buffers it can do without.
    fitting = {} if other else dict(tensors)
    found = model.load_state_dict(fitting, strict=False)
    check_keys(
        source,
        what,
        missing=[key for key in found.missing_keys if key not in tensors],
        mismatched=other,
        unexpected=found.unexpected_keys,
        own=_names(model),
    )


def _names(model: torch.nn.Module) -> set[str]:
    return {*model.state_dict(), *(name for name, _ in model.named_buffers(remove_duplicate=False))}


def cast_ahead(model: M, precision: Precision) -> M:
    """Hold linear layers in the dtype to which autocast would otherwise convert them in every batch.

    The results are the same to the last bit, sooner and with less memory.
    """
    if precision.autocast is None:
        return model
    owners = Counter(id(p) for module in model.modules() for p in module.parameters(recurse=False))
    for module in model.modules():
        # By exact type, as quantized layers are subclasses. A tied weight stays as its other owner needs it.
        if type(module) is torch.nn.Linear and owners[id(module.weight)] == 1:
            module.to(torch_dtype(precision.autocast))
    return model


def read_tensors(
    files: Sequence[Path], wanted: tuple[str, ...] | None = None, *, dtype: torch.dtype | None = None
) -> dict[str, torch.Tensor]:
    """Return the tensors of weight files whose keys start with one of `wanted`.

    Safetensors are memory-mapped, and read when they are used.

    Raises:
        ModelError: a file is truncated or of another kind; or two of them hold one key with different values.
    """
    tensors: dict[str, torch.Tensor] = {}
    for path in files:
        part = _read_safetensors(path, wanted) if path.suffix == ".safetensors" else read_pickle(path)
        for key, tensor in part.items():
            if wanted is not None and not key.startswith(wanted):
                continue
            value = tensor if dtype is None else tensor.to(dtype)
            if key in tensors and not (rehearsing() or torch.equal(tensors[key], value)):
                raise ModelError(f"{path}: {key[:120]!r} is in another file, too, with other values")
            tensors[key] = value
    return tensors


def _read_safetensors(path: Path, wanted: tuple[str, ...] | None) -> dict[str, torch.Tensor]:
    from safetensors import safe_open

    check_regular(path)
    if rehearsing():
        shapes = {key: entry["shape"] for key, entry in safetensors_header(path).items()}
        return {key: torch.empty(shape) for key, shape in shapes.items()}
    with guarded(str(path), "not a readable safetensors file"), safe_open(path, framework="pt") as file:
        keys = [key for key in file.keys() if wanted is None or key.startswith(wanted)]  # noqa: SIM118
        return {key: file.get_tensor(key) for key in keys}


def read_pickle(file: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a pickled checkpoint, without running anything else in it.

    Raises:
        ModelError: it holds more than tensors, or can't be read.
    """
    tensors = unpickled(file)
    if not isinstance(tensors, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in tensors.items()
    ):
        raise ModelError(f"{file}: its pickle is no table of tensors by name; save the model's state_dict()")
    return dict(tensors)


def unpickled(file: Path) -> object:
    """Return what a pickle holds: tensors, numbers and texts in tables and lists, and nothing that runs code.

    Raises:
        ModelError: it holds more than that, or can't be read.
    """
    check_regular(file)
    with guarded(str(file), "can't be read", _SAVE_AGAIN), warnings.catch_warnings():
        # What torch can't read is an error.
        warnings.filterwarnings("ignore", "Detected pickle protocol")
        _check_form(file)
        try:
            where = "meta" if rehearsing() else "cpu"
            held: object = torch.load(file, map_location=where, weights_only=True)
        except UnpicklingError as error:
            named = _REFUSED_OBJECT.search(str(error))
            what = _MORE_THAN_TENSORS if named else f"it is no pickle of torch, or {_MORE_THAN_TENSORS}"
            raise ModelError(f"{file}: {what}{f' ({named[1]})' if named else ''}") from error
    return held


def _check_form(file: Path) -> None:
    """Raise unless a file has the form of a checkpoint of torch: of others, torch says only where it failed.

    Raises:
        ModelError: it is no checkpoint of torch, or one that is cut off.
    """
    with file.open("rb") as opened:
        start = opened.read(len(_ZIP))
    if start.startswith(_PICKLE):
        return
    if start != _ZIP:
        raise ModelError(
            f"{file}: it is no checkpoint of torch, which is a zip archive or a pickle; take another file"
        )
    if not zipfile.is_zipfile(file):
        raise ModelError(f"{file}: it is cut off or damaged; copy it again")
    with zipfile.ZipFile(file) as archive:
        if not any(name.endswith("/data.pkl") for name in archive.namelist()):
            raise ModelError(f"{file}: it is a zip archive, but no checkpoint of torch; take another file")


def place(model: M, device: str) -> M:
    """Move a model to its device.

    Raises:
        ModelError: torch can't use that device.
    """
    with guarded("torch", f"it can't use device {device!r}", "try --align-device cpu"):
        return model.to(device)


@contextlib.contextmanager
def computing(precision: Precision, device: str) -> Iterator[None]:
    """Run the body without gradients, in the arithmetic of `precision`."""
    dtype = torch_dtype(precision.autocast) if precision.autocast else None
    with (
        torch.inference_mode(),
        torch.autocast(device.partition(":")[0], dtype=dtype, enabled=dtype is not None),
        _whole_float32() if precision.name == "float32" else contextlib.nullcontext(),
    ):
        yield


@contextlib.contextmanager
def _whole_float32() -> Iterator[None]:
    """Compute convolutions in float32, where a GPU would by default round their inputs to ten bits (TF32)."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def hidden_layer(states: Sequence[State], layer: int) -> State:
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
        ModelError: this version has no class of that name.
    """
    import transformers

    with guarded(f"transformers {transformers.__version__}", f"it has no {name}", "a newer one may"):
        return getattr(transformers, name)


def auto_config(folder: Path) -> Any:
    """Return transformers' configuration of a folder.

    Raises:
        ModelError: this version of transformers does not know its model_type.
    """
    with quiet(), guarded(str(folder), "transformers can't read its config.json", _AGAIN):
        # An explicit False: otherwise, transformers asks on stdin if a repository brings code.
        return transformers_class("AutoConfig").from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )


def build_config(cls_name: str, values: Mapping[str, Any]) -> Any:
    """Return a transformers configuration from plain JSON values."""
    make: Callable[..., Any] = transformers_class(cls_name)
    # These belong to the file, not to the architecture; dtype is passed when loading.
    drop = {
        "model_type",
        "architectures",
        "torch_dtype",
        "dtype",
        "transformers_version",
        "auto_map",
        "_name_or_path",
    }
    with quiet(), guarded("config.json", f"it can't be made a {cls_name}"):
        return make(**{key: value for key, value in values.items() if key not in drop})
