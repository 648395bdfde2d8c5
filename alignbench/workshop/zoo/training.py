"""Trains a recipe's model and saves it so that it can be loaded like any checkpoint of its family."""

from __future__ import annotations

import itertools
import json
import random
from typing import TYPE_CHECKING

import torch

from alignbench.workshop.zoo.contrastive import ContrastiveTask
from alignbench.workshop.zoo.data import Drawings, document, pool
from alignbench.workshop.zoo.distill import Distillation
from alignbench.workshop.zoo.language import Language
from alignbench.workshop.zoo.loop import TrainingProgress, train
from alignbench.workshop.zoo.tokenizer import train_tokenizer
from alignbench.zoo.pixels import image_processor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from alignbench.weights.processors import Saves
    from alignbench.zoo.recipes import TrainingRecipe

TOKENIZER_DRAWINGS = 4000
TRAINING_FILE = "training.json"


def train_model(
    recipe: TrainingRecipe, out: Path, work: Path, say: Callable[[str], None], threads: int = 2
) -> TrainingProgress:
    """Train `recipe` and save the model to `out`.

    Args:
        recipe: the recipe to train.
        out: the model's folder.
        work: the folder for drawings and checkpoints; an interrupted training continues from there.
        say: receives a line of progress now and then.
        threads: torch's number of threads.
    """
    torch.set_num_threads(threads)
    task: ContrastiveTask | Distillation | Language
    parts: list[Saves]
    if recipe.objective == "language":
        parts = [tokenizer := _tokenizer(recipe)]
        task = Language(recipe, tokenizer)
    elif recipe.objective == "distill":
        parts = [processor := image_processor(recipe.objective)]
        task = Distillation(recipe, pool(recipe.pool, work), processor)
    else:
        parts = [tokenizer := _tokenizer(recipe), processor := image_processor(recipe.objective)]
        task = ContrastiveTask(recipe, pool(recipe.pool, work), tokenizer, processor)
    progress = train(task, recipe, work / f"{recipe.name}.pt", say)
    model = task.model if isinstance(task, Distillation) else task.module
    save(model, parts, out)
    record = {
        "name": recipe.name,
        "objective": recipe.objective,
        "drawings": recipe.pool,
        "seed": recipe.seed,
        "steps": progress.step,
        "batch": recipe.batch,
        "minutes": round(progress.seconds / 60, 1),
        "threads": threads,
        "first_loss": round(progress.losses[0], 4),
        "last_loss": round(progress.losses[-1], 4),
        "parameters": sum(p.numel() for p in model.parameters()),
    }
    (out / TRAINING_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return progress


def save(model: PreTrainedModel, parts: Iterable[Saves], out: Path) -> None:
    """Write weights as fp16 safetensors, with everything that `from_pretrained` needs."""
    model.eval().to(torch.float16).save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)  # safetensors makes it readable for the owner only
    for part in parts:
        part.save_pretrained(out)


def _tokenizer(recipe: TrainingRecipe) -> PreTrainedTokenizerBase:
    text_config = recipe.config.get("text_config", recipe.config)
    return train_tokenizer(_texts(recipe), recipe.family, text_config["max_position_embeddings"])


def _texts(recipe: TrainingRecipe) -> Iterator[str]:
    """Yield the texts that the tokenizer is trained on: a random part of the training texts."""
    drawings, rng = Drawings(), random.Random(f"tokenizer/{recipe.seed}")
    for number in itertools.islice(iter(lambda: rng.randrange(recipe.pool), -1), TOKENIZER_DRAWINGS):
        yield document(drawings.description(number), rng)
