"""How fast we embed, compared with sentence-transformers for texts and a plain loop for images.

All use the same weights and arithmetic, models are loaded beforehand, and the contenders take turns in one
process; ours writes its vectors into an empty store each time. A ratio is the other's time divided by ours in
the same round: above 1, ours is faster. Brackets hold the quartiles over the rounds.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.session.environment import processor
from alignbench.workshop.measure import _embed_inputs as inputs
from alignbench.workshop.measure._race import CALM, cost_of, is_calm, kept, race, ratios

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from alignbench.workshop.measure._race import Round

    Vectors = NDArray[np.float32]

AGREEMENT = 0.999
BATCH_SIZES = (4, 8, 16, 32, 64)
PARTS = ("texts", "clip", "dinov2")
PACKAGES = ("torch", "transformers", "sentence-transformers", "tokenizers", "torchvision", "pillow")
INSTALL = (
    "texts are compared with sentence-transformers, which is not installed: pip install sentence-transformers"
)


def main(argv: list[str]) -> int:
    """Measure each part and print medians and ratios; return 1 if sentence-transformers is not installed."""
    options = _parser().parse_args(argv)
    import torch

    if options.threads:
        torch.set_num_threads(options.threads)
    print(environment())
    status = 0
    with tempfile.TemporaryDirectory() as folder:
        for part in options.only:
            if part != "texts":
                compare_images(part, Path(folder), options)
            elif importlib.util.find_spec("sentence_transformers") is None:
                print(INSTALL)
                status = 1
            else:
                compare_texts(Path(folder), options)
    return status


def compare_texts(place: Path, options: argparse.Namespace) -> None:
    """Print how we compare with sentence-transformers on texts."""
    from alignbench.llms import resolve
    from alignbench.workshop.measure import _embed_contenders as contenders

    folder, what = inputs.make_llm(place / "llm")
    texts = inputs.texts(options.texts)
    precision = resolve(str(folder)).precision(options.device, options.dtype)
    ours = contenders.our_texts(folder, texts, options.device, options.dtype)
    theirs = contenders.sentence_transformers_texts(folder, texts, options.device, precision)
    agreement = agree(ours(), theirs(options.batch_sizes[0]))
    size = best_batch_size(theirs, options.batch_sizes, options.device)
    print(f"\n{len(texts)} texts, {what}, {precision.name}; smallest cosine {agreement:.6f}")
    name = (
        f"sentence-transformers, batches of {size} (its best of {', '.join(map(str, options.batch_sizes))})"
    )
    rounds = race({"ours": ours, name: partial(theirs, size)}, options.rounds, calm=options.calm)
    print(report(rounds, name, len(texts), options.calm))


def compare_images(part: str, place: Path, options: argparse.Namespace) -> None:
    """Print how we compare with a plain loop on images."""
    from alignbench.workshop.measure import _embed_contenders as contenders

    make, pooling, model_class, output = {
        "clip": (inputs.make_clip, "projected", "CLIPVisionModelWithProjection", "image_embeds"),
        "dinov2": (inputs.make_dinov2, "pooler", "Dinov2Model", "pooler_output"),
    }[part]
    folder, what = make(place / part)
    files = inputs.photos(options.images, place / "photos")
    ours, precision = contenders.our_images(folder, files, pooling, options.device, options.dtype)
    theirs = contenders.plain_images(folder, files, model_class, output, options.device, precision)
    agreement = agree(ours(), theirs())
    print(f"\n{len(files)} images, {what}, {precision.name}; smallest cosine {agreement:.6f}")
    name = f"plain transformers loop, batches of {contenders.IMAGES_A_BATCH}"
    rounds = race({"ours": ours, name: theirs}, options.rounds, calm=options.calm)
    print(report(rounds, name, len(files), options.calm))


def agree(a: Vectors, b: Vectors) -> float:
    """Return the smallest cosine between rows of unit length.

    Raises:
        SystemExit: it is not above .999, so the contenders do not do the same work.
    """
    if a.shape != b.shape:
        raise SystemExit(f"the contenders' vectors have the shapes {a.shape} and {b.shape}")
    smallest = float((a.astype(np.float64) * b).sum(axis=1).min())
    if not smallest > AGREEMENT:
        raise SystemExit(
            f"the contenders do not compute the same: smallest cosine {smallest:.4f}, expected more than "
            f"{AGREEMENT}; nothing was measured"
        )
    return smallest


def best_batch_size(encode: Callable[[int], Any], sizes: Sequence[int], device: str, passes: int = 2) -> int:
    """Return the fastest batch size: by processor time on a CPU, where others may delay the clock."""
    what = "cpu" if device in ("cpu", "auto") and not _has_gpu() else "wall"
    costs: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(passes):
        for size, times in costs.items():
            times.append(getattr(cost_of(partial(encode, size)), what))
    return min(costs, key=lambda size: min(costs[size]))


def report(rounds: Sequence[Round], other: str, n: int, calm: float = CALM) -> str:
    """Return both contenders' medians and their ratios over the rounds that count."""
    counted = kept(rounds, calm=calm)
    lines = []
    for name in ("ours", other):
        wall, cpu = (
            statistics.median(getattr(r.costs[name], what) for r in counted) for what in ("wall", "cpu")
        )
        lines.append(f"  {name}: {wall:.2f} s, {cpu:.2f} s of processor time, {n / wall:.1f} per second")
    wall, cpu = (ratios(counted, other, "ours", what) for what in ("wall", "cpu"))
    conditions = f"{len(counted)} rounds, {_noise(rounds, calm)}"
    lines.append(f"  ratio: {wall} by the clock, {cpu} by processor time; {conditions}")
    return "\n".join(lines)


def _noise(rounds: Sequence[Round], calm: float) -> str:
    known = [r.others for r in rounds if r.others is not None]
    if not known:
        return "the load by other processes is unknown"
    quiet = sum(is_calm(r, calm) for r in rounds)
    load = f"other processes kept {statistics.median(known):.2f} processors busy"
    if quiet == len(rounds):
        return f"all calm ({load})"
    left_out = len(rounds) - len(kept(rounds, calm=calm))
    if left_out:
        return f"{left_out} more left out as not calm ({load})"
    return f"NOT CALM: {load}; rely on the ratio by processor time"


def environment() -> str:
    """Return what the numbers depend on: machine, threads, versions."""
    import torch

    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{package} -")
    load = f", load {os.getloadavg()[0]:.1f}" if sys.platform != "win32" else ""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else processor()
    return (
        f"{device}, {os.cpu_count()} processors, {torch.get_num_threads()} torch threads{load}\n"
        f"Python {platform.python_version()}, {', '.join(versions)}"
    )


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m alignbench.measure embed", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--texts", type=int, default=256, help="the number of texts")
    parser.add_argument("--images", type=int, default=64, help="the number of images")
    parser.add_argument(
        "--batch-sizes",
        type=int,
        nargs="+",
        default=list(BATCH_SIZES),
        help="the batch sizes that are tried for sentence-transformers",
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="auto", help="as --align-dtype")
    parser.add_argument(
        "--threads", type=int, default=0, help="torch's number of threads; 0 leaves it unchanged"
    )
    parser.add_argument(
        "--calm", type=float, default=CALM, help="processors that others may keep busy in a round that counts"
    )
    return parser
