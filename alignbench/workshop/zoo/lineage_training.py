"""Trains lineages and saves their checkpoints, each of which can be loaded like any other."""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from transformers import AutoTokenizer, Dinov2Config, Dinov2Model

from alignbench.files import claim_folder, make_folder
from alignbench.paths import models_dir
from alignbench.workshop.zoo.contrastive import ContrastiveTask
from alignbench.workshop.zoo.data import pool
from alignbench.workshop.zoo.distill import Distillation
from alignbench.workshop.zoo.labels import Labelled
from alignbench.workshop.zoo.loop import train
from alignbench.workshop.zoo.masked import Masked
from alignbench.workshop.zoo.training import save
from alignbench.zoo.lineages import CARD, Card
from alignbench.zoo.pixels import image_processor
from alignbench.zoo.recipes import IMAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray
    from transformers import PreTrainedModel

    from alignbench.weights.processors import Saves
    from alignbench.workshop.zoo.loop import TrainingTask
    from alignbench.zoo.lineages import Lineage


def make_lineages(
    lineages: Iterable[Lineage], out: Path, work: Path, say: Callable[[str], None], threads: int = 1
) -> None:
    """Train the lineages that `out` lacks, one after the other; interrupted trainings continue.

    Args:
        lineages: the lineages to train.
        out: the folder in which each checkpoint gets a folder.
        work: the folder for drawings and unfinished trainings.
        say: receives a line of progress now and then.
        threads: torch's number of threads.
    """
    torch.set_num_threads(threads)
    make_folder(work)
    for lineage in lineages:
        if all((out / name / CARD).is_file() for name in lineage.checkpoints.values()):
            say(f"{lineage.name}: already trained")
            continue
        say(f"{lineage.name}: {lineage.recipe.objective}, {lineage.recipe.steps} steps")
        _make(lineage, out, work, lambda line, name=lineage.name: say(f"{name}: {line}"))  # type: ignore[misc]


def _make(lineage: Lineage, out: Path, work: Path, say: Callable[[str], None]) -> None:
    recipe = lineage.recipe
    parts = [processor := image_processor(recipe.objective, lineage.side)]
    if recipe.objective == "random":
        torch.manual_seed(recipe.seed)
        _keep(Dinov2Model(Dinov2Config(**recipe.config)), parts, lineage, 0, out)
        return
    pixels = shrunk(pool(recipe.pool, work, workers=1), lineage.side)
    task: ContrastiveTask | Masked | Distillation | Labelled
    if recipe.objective in ("softmax", "sigmoid"):
        packaged = "mini-clip" if recipe.objective == "softmax" else "mini-siglip"
        tokenizer = AutoTokenizer.from_pretrained(models_dir() / packaged)
        task = ContrastiveTask(recipe, pixels, tokenizer, processor)
        parts = [tokenizer, processor]
    else:
        kinds: dict[str, type[Masked | Distillation | Labelled]] = {"masked": Masked, "distill": Distillation}
        task = kinds.get(recipe.objective, Labelled)(recipe, pixels, processor)
    checkpoint = work / f"{recipe.name}.pt"
    kept = SavingTask(task, lambda step: _keep(_model(task), parts, lineage, step, out), lineage.checkpoints)
    train(kept, recipe, checkpoint, say)
    # A training that was interrupted between its last step and the last file is already complete.
    if not (out / lineage.name / CARD).is_file():
        kept.keep(recipe.steps)
    checkpoint.unlink(missing_ok=True)


class SavingTask:
    """A task that saves its model after certain steps."""

    def __init__(self, task: TrainingTask, keep: Callable[[int], None], steps: Iterable[int]) -> None:
        self._task, self.keep, self._steps = task, keep, frozenset(steps)

    @property
    def module(self) -> torch.nn.Module:
        """Everything that is trained."""
        return self._task.module

    def loss(self, step: int) -> torch.Tensor:
        """Return the loss of batch `step`."""
        return self._task.loss(step)

    def after(self, step: int) -> None:
        """Do the task's work after a step, and save the model if it is due."""
        self._task.after(step)
        if step + 1 in self._steps:
            self.keep(step + 1)


def shrunk(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return `pixels` [n, h, w, 3] as images of `side` x `side`."""
    if side == IMAGE_SIZE:
        return pixels
    images = (Image.fromarray(one).resize((side, side), Image.Resampling.BICUBIC) for one in pixels)
    return np.stack([np.asarray(image) for image in images])


def _model(task: ContrastiveTask | Masked | Distillation | Labelled) -> PreTrainedModel:
    model: PreTrainedModel = task.module if isinstance(task, ContrastiveTask) else task.model
    return model


def _keep(
    model: PreTrainedModel,
    parts: Iterable[Saves],
    lineage: Lineage,
    step: int,
    out: Path,
) -> None:
    """Write a checkpoint beside its place and move it there, so that the folder is complete or absent."""
    recipe = lineage.recipe
    folder = out / lineage.checkpoints[step]
    unfinished = claim_folder(out / f".{folder.name}.part")
    save(copy.deepcopy(model), parts, unfinished)
    card = Card(lineage.name, lineage.origin, recipe.objective, step, recipe.steps)
    (unfinished / CARD).write_text(json.dumps(asdict(card), indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        unfinished.replace(folder)
    except OSError:
        shutil.rmtree(unfinished)
        if not (folder / CARD).is_file():
            raise  # otherwise, another process was faster, and its folder is as good
