"""A small VLM of every pair: encoder and LLM frozen, a projector trained with the LLM's own loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.experiments.base import CellResult, Cost, Experiment, NotApplicableError, Part
from alignbench.experiments.repeats import Repeats
from alignbench.experiments.vlm.result import REPEATS, VLMSettings

if TYPE_CHECKING:
    from alignbench.config import Config
    from alignbench.encoders import Encoder
    from alignbench.experiments.base import Bench
    from alignbench.llms import LLM
    from alignbench.weights.custom import Custom


def train(bench: Bench, encoder: Encoder | Custom, llm: LLM | Custom, projector: str) -> CellResult:
    """Return the perplexity of captions, the gain from the image, and answers; with the loss curves."""
    from alignbench.experiments.vlm.scores import vlm

    chosen, name = bench.option("encoders"), encoder.info.stand_in_for or encoder.info.name
    if not bench.is_given("encoders") and name not in chosen:
        raise NotApplicableError(
            f"by default a VLM is trained only with {' and '.join(chosen)}; name others with "
            f"{bench.spelled('encoders')}"
        )
    settings = VLMSettings(projector, Repeats.of(bench), bench.option("image_tokens"))
    names = encoder.info, llm.info
    scores, arrays = vlm(
        lambda: bench.patches(encoder), bench.head(llm), bench.dataset, settings, names=names
    )
    return CellResult(scores, arrays, f"vlm-{projector}")


def encoders_by_default(config: Config) -> tuple[str, ...]:
    """Return the encoders that VLMs are trained with if the user names none, since a training takes long."""
    names = config.default_encoders
    return tuple(name for name in config.vlm_encoders if name in names) or names


DEFAULTS = {"epochs": REPEATS.epochs, "splits": REPEATS.splits, "seeds": REPEATS.seeds}
EXPERIMENT = Experiment(
    "vlm",
    "a small VLM of every pair, its projector trained with the LLM's own loss",
    (
        Part(
            "vlm",
            train,
            of=("encoder", "llm"),
            sweep={"projector": "projectors"},
            uses=frozenset({"patches"}),
            cost=Cost(30.0, "llm", DEFAULTS),
        ),
    ),
    options=("epochs", "splits", "seeds", "projectors", "image_tokens"),
    defaults={**DEFAULTS, "projectors": ("linear",), "encoders": encoders_by_default},
    long=True,
    not_for_arrays="needs both models",
    measures={
        "caption_perplexity": "How surprised the frozen LLM is by held-out captions, given the image.",
        "a_score": "The mean log-likelihood of a token of held-out captions, given the image.",
        "image_gain": "How much the right image helps more than another one, in nats per caption token.",
        "gain_within_type": "How much the right image helps more than another one of its data type.",
        "mir": "How far image tokens lie from text tokens in the LLM's layers.",
    },
    figures=("alignbench.experiments.vlm.figures",),
    title="Trained VLM",
    place=170,
)
