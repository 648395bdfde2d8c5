"""The training of a VLM: image tokens come first, then those of the caption; only these have a loss."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from alignbench.cores import available_cores
from alignbench.doing import doing
from alignbench.errors import DataError, DegenerateError, ModelError
from alignbench.experiments.vlm.answers import asked
from alignbench.experiments.vlm.control import mean_shuffled
from alignbench.experiments.vlm.integration import MOST_PAIRS, modality_integration_rate
from alignbench.experiments.vlm.result import TrainingResult
from alignbench.projectors import OF_PATCHES
from alignbench.projectors.architectures import build
from alignbench.projectors.epochs import run_epochs
from alignbench.projectors.patches import MOST_PATCHES, grid
from alignbench.stats import rng_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from alignbench.datasets import Sample
    from alignbench.experiments.vlm.result import Job, VLMSettings
    from alignbench.llms.base import CausalLM
    from alignbench.llms.causal import CausalDecoder

# Initial weights come from torch's global generator, so two trainings must not draw them at the same time.
_SEEDING = threading.Lock()
_CAPTIONS_PER_PASS = 32
_QUESTIONS_PER_PASS = 64
_LONGEST_ANSWER = 24


def run_jobs(
    values: NDArray[np.float32],
    samples: Sequence[Sample],
    llm: CausalLM,
    jobs: Sequence[Job],
    settings: VLMSettings,
    tell: Callable[[int], None] | None = None,
) -> tuple[list[TrainingResult], dict[str, Any]]:
    """Train and test all jobs; return their results, and the `params` of their scores.

    With a small LLM on a CPU, several jobs run side by side. Each has one thread, so the numbers of a job do
    not depend on how many jobs there are.
    """
    decoder = llm.decoder
    on_cpu = decoder.device.type == "cpu"
    x = image_grid(values, settings)
    captions = [[_tokens(decoder, text, llm, sample) for text in sample.texts] for sample in samples]

    def run(job: Job) -> TrainingResult:
        return _Training(x, samples, captions, decoder, job, settings).run()

    def gather(results: Iterable[TrainingResult]) -> list[TrainingResult]:
        gathered = []
        for result in results:
            gathered.append(result)
            if tell is not None:
                tell(1)
        return gathered

    params = {
        "image_tokens": _tokens_per_image(settings, x.shape[1]),
        "patches": values.shape[1],
        "image_patches_pooled_to": x.shape[1],
        "dims": (x.shape[2], decoder.width),
        "shrinkage": settings.shrinkage,
        "rate": settings.rate,
        "max_length": llm.options.max_length,
    }
    with doing("epochs of the VLM's projectors", len(jobs) * settings.repeats.epochs):
        if on_cpu and decoder.is_small:
            workers = min(available_cores(), len(jobs))
            with (
                _single_threaded(),
                ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool,
            ):
                return gather(pool.map(run, jobs)), params
        return gather(map(run, jobs)), params


def image_grid(values: NDArray[np.float32], settings: VLMSettings) -> NDArray[np.float32]:
    """Return patches averaged over a grid of `image_tokens` cells, or of more for "cross_attention"."""
    return grid(values, MOST_PATCHES if settings.projector == OF_PATCHES else settings.image_tokens)


def _tokens_per_image(settings: VLMSettings, cells: int) -> int:
    from alignbench.projectors.architectures import QUERIES

    return QUERIES if settings.projector == OF_PATCHES else cells


def _tokens(decoder: CausalDecoder, text: str, llm: CausalLM, sample: Sample) -> list[int]:
    ids = decoder.ids(text, llm.options.max_length)
    if not ids:
        raise DataError(f"sample {sample.id!r}: its text has no tokens for {llm.name}; give it another text")
    return ids


class _Training:
    """One job, which trains and tests a projector."""

    def __init__(
        self,
        x: NDArray[np.float32],
        samples: Sequence[Sample],
        captions: Sequence[Sequence[list[int]]],
        decoder: CausalDecoder,
        job: Job,
        settings: VLMSettings,
    ) -> None:
        self.samples, self.captions, self.decoder = samples, captions, decoder
        self.job, self.settings = job, settings
        if settings.shrinkage is not None:
            x = whitened(x, job.train, settings.shrinkage)
        self.x = torch.from_numpy(standardised(x, job.train)).to(decoder.device)
        with _SEEDING:
            made = build(settings.projector, x.shape[-1], decoder.width, job.seed)
        self.projector = made.to(decoder.device)
        self.start = decoder.vectors([*decoder.start]) if decoder.start else None
        self.gap = decoder.vectors(decoder.ids("\n"))

    def run(self) -> TrainingResult:
        """Train, then test on the held-out groups."""
        on_cpu = self.decoder.device.type == "cpu"
        untrained = self._integration()
        with nullcontext() if on_cpu else self.decoder.sparing_memory():
            curves = self._train()
        with torch.inference_mode():
            losses, tokens = self._loss_matrix()
            none = self._loss_without_image() / tokens.sum()
            answers = self._answers(np.arange(len(self.job.test)))
            other = self._answers(self.job.other)
        return TrainingResult(
            losses,
            tokens,
            right=float(np.trace(losses) / tokens.sum()),
            shuffled=mean_shuffled(losses, tokens),
            none=float(none),
            answers=tuple(answers),
            other_answers=tuple(other),
            train_curve=curves[0],
            held_out_curve=curves[1],
            integration=self._integration(),
            untrained_integration=untrained,
        )

    def _train(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        batch, epochs = self.settings.batch, self.settings.repeats.epochs
        rng = rng_for(self.job.seed, "vlm batches")
        steps = epochs * -(-len(self.job.train) // batch)
        rate = self.settings.rate / self.x.shape[-1]
        optimiser = torch.optim.Adam(self.projector.parameters(), lr=rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate_factor(step, steps))

        def learn() -> float:
            order = rng.permutation(self.job.train)
            total = count = 0.0
            for first in range(0, len(order), batch):
                rows = order[first : first + batch]
                wordings = [self.captions[int(row)] for row in rows]
                texts = [of_row[int(rng.integers(len(of_row)))] for of_row in wordings]
                tokens = sum(map(len, texts))
                summed = self.decoder.losses(self._prefix(rows), texts).sum()
                optimiser.zero_grad()
                (summed / tokens).backward()
                optimiser.step()
                schedule.step()
                total, count = total + float(summed.detach()), count + tokens
            if not math.isfinite(total):
                raise ModelError("the language-model loss is not finite; try --align-dtype float32")
            return total / count

        return run_epochs(epochs, learn, self._held_out)

    def _prefix(self, rows: NDArray[np.intp]) -> Tensor:
        """Return what stands before the caption of each row: the start, image tokens, and a line break."""
        parts = [self._image(rows), self.gap.expand(len(rows), -1, -1)]
        if self.start is not None:
            parts.insert(0, self.start.expand(len(rows), -1, -1))
        return torch.cat([part.float() for part in parts], dim=1)

    def _image(self, rows: NDArray[np.intp]) -> Tensor:
        x = self.x[torch.from_numpy(rows).to(self.x.device)]
        return project(self.projector, x) * self.decoder.scale

    @torch.no_grad()
    def _held_out(self) -> float:
        test = self.job.test
        return float(self._caption_losses(test, test).sum() / sum(len(self.captions[row][0]) for row in test))

    def _caption_losses(self, texts: NDArray[np.intp], images: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the summed -log p of the first wording of each row in `texts`, given the rows' `images`."""
        losses = []
        for first in range(0, len(texts), _CAPTIONS_PER_PASS):
            part = slice(first, first + _CAPTIONS_PER_PASS)
            captions = [self.captions[row][0] for row in texts[part]]
            losses.append(self.decoder.losses(self._prefix(images[part]), captions).double().cpu().numpy())
        return np.concatenate(losses)

    def _loss_matrix(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        test, blocks = self.job.test, self.job.blocks
        i, j = np.nonzero(blocks[:, None] == blocks[None, :])
        losses = np.full((len(test), len(test)), np.nan)
        losses[i, j] = self._caption_losses(test[i], test[j])
        tokens = np.asarray([len(self.captions[row][0]) for row in test], dtype=np.float64)
        return losses, tokens

    def _loss_without_image(self) -> float:
        """Return the summed -log p of all held-out captions without any image before them."""
        parts = [part for part in (self.start, self.gap) if part is not None]
        prefix = torch.cat(parts)[None]
        total = 0.0
        for row in self.job.test:
            total += float(self.decoder.losses(prefix, [self.captions[row][0]]).sum())
        return total

    @torch.no_grad()
    def _integration(self) -> float:
        """Return the modality integration rate of held-out images with their captions; NaN if undefined."""
        rows = self.job.test[:MOST_PAIRS]
        first = 0 if self.start is None else len(self.start)
        images: list[list[Tensor]] = []
        texts: list[list[Tensor]] = []
        for start in range(0, len(rows), _CAPTIONS_PER_PASS):
            part = rows[start : start + _CAPTIONS_PER_PASS]
            captions, prefix = [self.captions[row][0] for row in part], self._prefix(part)
            layers = self.decoder.states(prefix, captions)
            ends = prefix.shape[1] + torch.tensor([len(caption) for caption in captions])
            behind, places = prefix.shape[1] - len(self.gap), torch.arange(layers[0].shape[1])
            written = (places >= behind) & (places < ends[:, None])
            images.append([states[:, first:behind].flatten(0, 1) for states in layers])
            texts.append([states[written] for states in layers])
        sides = [[torch.cat(of) for of in zip(*side, strict=True)] for side in (images, texts)]
        try:
            return modality_integration_rate(zip(*sides, strict=True))
        except DegenerateError:
            return math.nan

    def _answers(self, image_of: NDArray[np.intp]) -> list[str]:
        questions = self.job.questions
        if not questions:
            return []
        images = self._image(self.job.test[image_of])
        prompts = []
        for place, question in questions:
            asking = self.decoder.vectors(self.decoder.ids(f"\nQuestion: {question} Answer:"))
            parts = [images[place], asking]
            if self.start is not None:
                parts.insert(0, self.start)
            prompts.append(torch.cat([part.float() for part in parts]).to(asking.dtype))
        longest = self._longest_answer()
        answers: list[str] = []
        for first in range(0, len(prompts), _QUESTIONS_PER_PASS):
            answers += self.decoder.answers(prompts[first : first + _QUESTIONS_PER_PASS], longest)
        return answers

    def _longest_answer(self) -> int:
        """Return the most tokens that an answer may have: two more than the longest in the train rows."""
        known = {answer for row in self.job.train for _, answer, _ in asked(self.samples[row])}
        longest = max((len(self.decoder.ids(answer)) for answer in known), default=8)
        return min(_LONGEST_ANSWER, longest + 2)


def project(projector: nn.Module, patches: Tensor) -> Tensor:
    """Return image tokens [b, t, dy] of patches [b, p, dx]: one per patch, or one per query."""
    tokens = getattr(projector, "tokens", projector)
    made: Tensor = tokens(patches)
    return made


def whitened(x: NDArray[np.float32], train: NDArray[np.intp], shrinkage: float) -> NDArray[np.float32]:
    r"""Return patches [n, p, dx] turned and stretched so that directions of the train rows vary more alike.

    $X (C + \lambda\,\bar c\,I)^{-1/2}$, where $C$ is the covariance of the train rows' patches, $\bar c$ the
    mean of its eigenvalues, and λ the shrinkage. Without it, the few directions in which patches differ most
    are all that a short training learns.

    Args:
        x: patches.
        train: the rows to learn the covariance from.
        shrinkage: λ, above 0.
    """
    rows = torch.from_numpy(x[train]).double().flatten(0, 1)
    centred = rows - rows.mean(dim=0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(rows))
    least = shrinkage * float(values.mean())
    if least <= 0:  # all patches are alike
        return x
    turn = (vectors / (values.clamp(min=0) + least).sqrt()) @ vectors.T
    made: NDArray[np.float32] = (torch.from_numpy(x).double() @ turn).float().numpy()
    return made


def standardised(x: NDArray[np.float32], train: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return patches centred and divided by one number, both from the train rows, so that steps compare."""
    rows = x[train].astype(np.float64)
    mean = rows.mean(axis=(0, 1))
    # Without variance all values are 0: nothing can be learnt from them, and nothing is divided by 0.
    scale = float(np.sqrt(np.square(rows - mean).mean())) or 1.0
    values: NDArray[np.float32] = ((x - mean) / scale).astype(np.float32)
    return values


def _rate_factor(step: int, steps: int) -> float:
    """Return the factor of the learning rate at a step: it warms up linearly and decays by a cosine."""
    warm = max(1, steps // 10)
    return min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * min(step, steps) / steps))


@contextmanager
def _single_threaded() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
