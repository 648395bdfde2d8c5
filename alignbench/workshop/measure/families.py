"""Each family on a tiny checkpoint: what it is accepted as, and how far it is from its own library.

The checkpoints have random weights; `save_pretrained` or timm makes them. The difference is the largest over
all outputs that both sides have, relative to the largest number in the library's output (at least 1).
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import warnings
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from alignbench.errors import AlignbenchError
from alignbench.workshop.measure.truth import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray
    from torch.nn import Module

    from alignbench.encoders.base import Encoder
    from alignbench.llms.base import LLM

    Outputs = Mapping[str, NDArray[Any]]

TIMM = (
    *("test_vit", "test_efficientnet", "vit_pe_core_tiny_patch16_384", "vit_pe_spatial_tiny_patch16_512"),
    *("eva02_tiny_patch14_224", "vit_small_patch16_dinov3", "convnext_tiny", "vit_tiny_r_s16_p8_224"),
    *("swin_tiny_patch4_window7_224", "fastvit_t8", "hiera_tiny_224", "mobilenetv4_conv_small"),
    *("vit_base_patch16_rope_reg1_gap_256", "csatv2", "naflexvit_base_patch16_siglip"),
)
HEAD = ("model", "accepted as", "poolings", "layers", "patches", "attention", "difference")


def main(argv: list[str]) -> None:
    """Make, load and compare each checkpoint; print a table of encoders, VLMs, LLMs and timm's encoders."""
    parser = argparse.ArgumentParser(prog="python -m alignbench.measure families", description=__doc__)
    parser.add_argument("--only", help="the models whose names contain this")
    only = parser.parse_args(argv).only or ""
    with _silence(), tempfile.TemporaryDirectory() as place:
        kinds = {"encoders": _encoders, "VLMs": _vlms, "LLMs": _llms, "timm's encoders": _timm}
        for title, rows in kinds.items():
            found = list(rows(Path(place), only))
            if found:
                print(f"\n{title}\n\n{table(list(HEAD), found)}", flush=True)


@contextmanager
def _silence() -> Iterator[None]:
    """Leave out what the libraries say about checkpoints without training."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _encoders(place: Path, only: str) -> Iterator[list[str]]:
    from alignbench.tests import own_vision, tiny_models, tiny_vision

    for name, make in {**tiny_models.ENCODERS, **tiny_vision.MAKERS}.items():
        if only in name:
            folder = make(place / name)

            def own(_: Encoder, name: str = name, folder: Path = folder) -> Outputs:
                return own_vision.any_of(name, folder)

            yield _encoder_row(name, str(folder), own)


def _vlms(place: Path, only: str) -> Iterator[list[str]]:
    from alignbench.tests import own_texts, own_vision, tiny_vlms

    for name in (name for name in tiny_vlms.VLMS if only in name):
        folder = tiny_vlms.vlm(name, place / name)

        def vision(encoder: Encoder, name: str = name, folder: Path = folder) -> Outputs:
            special = int("cls" in encoder.poolings)
            return _of_tokens([of[special:] for of in own_vision.tower_tokens(folder, name)])

        def projected(_: Encoder, folder: Path = folder) -> Outputs:
            return _of_tokens(own_vision.image_tokens(folder))

        yield _encoder_row(f"{name}#vision", f"{folder}#vision", vision)
        yield _encoder_row(f"{name}#projected", f"{folder}#projected", projected)
        yield _llm_row(f"{name}#text", f"{folder}#text", partial(own_texts.text_states, folder))


def _llms(place: Path, only: str) -> Iterator[list[str]]:
    from alignbench.tests import own_texts, tiny_llms, tiny_models

    for name in (
        *tiny_models.LLMS,
        *tiny_llms.PLAIN,
        *tiny_llms.WHOLE,
        "gpt2",
        "internlm3",
        *tiny_llms.OTHERS,
    ):
        if only in name:
            folder = tiny_llms.written(name, place / name)
            yield _llm_row(name, str(folder), partial(own_texts.means, name, folder, place / f"own-{name}"))


def _timm(place: Path, only: str) -> Iterator[list[str]]:
    import timm
    import torch
    from safetensors.torch import save_file

    from alignbench.tests import tiny_models

    for name in (name for name in TIMM if only in name):
        model = timm.create_model(name, pretrained=False, num_classes=0).eval()
        tiny_models.scattered(model)
        path = place / f"{name}.safetensors"
        save_file({key: tensor.contiguous().clone() for key, tensor in model.state_dict().items()}, path)

        def own(encoder: Encoder, model: Module = model) -> Outputs:
            pixels = torch.stack([encoder.preprocess(image) for image in tiny_models.images()])
            with torch.inference_mode():
                return {"pooler": model(pixels).numpy()}

        yield _encoder_row(name, f"timm:{name}@{path}", own)
        path.unlink()


def _encoder_row(name: str, spec: str, own: Callable[[Encoder], Outputs]) -> list[str]:
    """Return a row of the table; `own` gives the handle's poolings and patches by the model's own library."""
    from alignbench.encoders import resolve
    from alignbench.tests.tiny_models import images

    def pooled(pooling: str) -> NDArray[Any]:
        model = handle.varied(pooling=pooling)
        model.load("cpu", "float32")
        return np.asarray(model.embed(images()))

    try:
        handle = cast("Encoder", resolve(spec, l2=False))
        handle.load("cpu", "float32")
        expected = own(handle)
        gaps = [gap(pooled(name), expected[name]) for name in handle.poolings if name in expected]
    except AlignbenchError as error:
        return _refused(name, spec, error)
    patches = _given(lambda: handle.patches(images()))
    layers = _given(lambda: handle.forward_layers([handle.preprocess(image) for image in images()]))
    attention = _given(lambda: handle.attention(images()))
    if patches is not None and "patches" in expected:
        gaps.append(gap(patches, expected["patches"]))
    return [
        name,
        _accepted(handle),
        ", ".join(handle.poolings),
        "–" if layers is None else str(layers.shape[1] // len(handle.layer_poolings)),
        "–" if patches is None else f"{patches.shape[1]} × {patches.shape[2]}",
        "–" if attention is None else "yes",
        _worst(gaps),
    ]


def _llm_row(name: str, spec: str, own: Callable[[], NDArray[Any]]) -> list[str]:
    """Return a row of the table; `own` gives the mean state of each text by the model's own library."""
    from alignbench.llms import resolve
    from alignbench.tests.tiny_models import TEXTS

    try:
        handle = cast("LLM", resolve(spec, l2=False))
        handle.load("cpu", "float32")
        vectors = handle.embed(TEXTS)
    except AlignbenchError as error:
        return _refused(name, spec, error)
    layers = _given(lambda: handle.forward_layers(handle.tokenize(TEXTS)))
    count = "–" if layers is None else str(layers.shape[1])
    return [name, _accepted(handle), "mean", count, "–", "–", _worst([gap(vectors, own())])]


def _refused(name: str, spec: str, error: AlignbenchError) -> list[str]:
    return [name, f"refused: {str(error).removeprefix(f'{spec}: ')}", *["–"] * (len(HEAD) - 2)]


def _of_tokens(tokens: list[NDArray[Any]]) -> Outputs:
    means = {"mean": np.stack([of.mean(0) for of in tokens])}
    alike = len({of.shape for of in tokens}) == 1
    return {**means, "patches": np.stack(tokens)} if alike else means


def _given(call: Callable[[], Any]) -> NDArray[Any] | None:
    """Return what a model gives, or None if it says that it has no such output."""
    try:
        return np.asarray(call())
    except AlignbenchError:
        return None


def _accepted(handle: Encoder | LLM) -> str:
    return f"{handle.info.family}{', untested family' if handle.untested else ''}"


def gap(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """Return the largest difference, relative to the largest of their numbers; infinite for other shapes."""
    if ours.shape != theirs.shape:
        return float("inf")
    return float(np.abs(ours - theirs).max() / max(1.0, float(np.abs(theirs).max())))


def _worst(gaps: list[float]) -> str:
    return f"{max(gaps):.0e}" if gaps else "not compared"
