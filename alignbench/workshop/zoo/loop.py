"""The training loop of all objectives: AdamW, warm-up and cosine, checkpoints to resume from."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from alignbench.files import make_folder, write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from alignbench.zoo.recipes import TrainingRecipe

# on a CPU with so few tokens per step, sdpa takes 1.4 times as long, mostly in its backward pass
ATTENTION: dict[str, Any] = {"attn_implementation": "eager"}
SAVE_EVERY_SECONDS = 120.0
LOG_EVERY = 20


class TrainingTask(Protocol):
    """What is trained, and how to compute the loss of a step."""

    @property
    def module(self) -> torch.nn.Module:
        """Everything that is trained and belongs in a checkpoint."""

    def loss(self, step: int) -> torch.Tensor:
        """Return the loss of batch `step`."""

    def after(self, step: int) -> None:
        """Do the work after an optimizer step (a teacher's update, a clamp)."""


@dataclass(slots=True)
class TrainingProgress:
    """The progress of a training; losses are means over `LOG_EVERY` steps."""

    step: int = 0
    seconds: float = 0.0
    losses: tuple[float, ...] = ()


def train(
    task: TrainingTask, recipe: TrainingRecipe, checkpoint: Path, say: Callable[[str], None]
) -> TrainingProgress:
    """Train `task` for `recipe.steps`, continuing from `checkpoint` if it exists."""
    optimizer = torch.optim.AdamW(
        _groups(task.module, recipe.decay), lr=recipe.rate, betas=(0.9, 0.98), eps=1e-6
    )
    progress = _resume(task, optimizer, checkpoint)
    saved, recent = time.monotonic(), []
    parameters = [p for p in task.module.parameters() if p.requires_grad]
    task.module.train()
    while progress.step < recipe.steps:
        began = time.monotonic()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, progress.step)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = task.loss(progress.step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        task.after(progress.step)
        recent.append(loss.item())
        progress.step += 1
        progress.seconds += time.monotonic() - began
        if progress.step % LOG_EVERY == 0 or progress.step == recipe.steps:
            progress.losses += (sum(recent) / len(recent),)
            rate = recipe.batch * progress.step / progress.seconds
            say(f"step {progress.step}/{recipe.steps} loss {progress.losses[-1]:.3f} {rate:.0f} samples/s")
            recent = []
        if time.monotonic() - saved > SAVE_EVERY_SECONDS:
            _save(task, optimizer, progress, checkpoint)
            saved = time.monotonic()
    _save(task, optimizer, progress, checkpoint)
    return progress


def learning_rate(recipe: TrainingRecipe, step: int) -> float:
    """Return the rate of `step`: linear warm-up, then a cosine to 0."""
    if step < recipe.warmup:
        return recipe.rate * (step + 1) / recipe.warmup
    done = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return recipe.rate * 0.5 * (1 + math.cos(math.pi * done))


def _groups(module: torch.nn.Module, decay: float) -> list[dict[str, object]]:
    """Apply weight decay to matrices only, not to biases, norms and scales."""
    trained = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _resume(task: TrainingTask, optimizer: torch.optim.Optimizer, checkpoint: Path) -> TrainingProgress:
    if not checkpoint.exists():
        return TrainingProgress()
    state = torch.load(checkpoint, weights_only=True)
    task.module.load_state_dict(state["module"])
    optimizer.load_state_dict(state["optimizer"])
    return TrainingProgress(state["step"], state["seconds"], tuple(state["losses"]))


def _save(
    task: TrainingTask, optimizer: torch.optim.Optimizer, progress: TrainingProgress, checkpoint: Path
) -> None:
    make_folder(checkpoint.parent)
    state = {
        "module": task.module.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": progress.step,
        "seconds": progress.seconds,
        "losses": list(progress.losses),
    }
    write_atomic(checkpoint, lambda unfinished: torch.save(state, unfinished))
