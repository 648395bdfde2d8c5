"""The experiments that have a command: their marker, and which of the plugin's options concern them."""

from __future__ import annotations

from dataclasses import dataclass

MODELS = (
    "encoders",
    "llms",
    "pooling",
    "layer",
    "llm_layer",
    "fit",
    "no_l2",
    "quantize",
    "standins",
    "allow_pickle",
)
DATA = (
    "data_root",
    "dataset",
    "data_types",
    "n_samples",
    "text_field",
    "labels",
    "groups",
)
RUN = (
    "device",
    "dtype",
    "batch_size",
    "seed",
    "permutations",
    "output_dir",
    "run_name",
    "config",
    "cache_dir",
    "no_embedding_cache",
    "no_figures",
    "no_thumbnails",
    "compare",
    "compare_fail",
    "compare_unlike",
)
_TRAINED = ("epochs", "splits")
COMMON = {"models": MODELS, "data": DATA, "run": RUN}


@dataclass(frozen=True, slots=True)
class Experiment:
    """A command that makes a pytest run.

    Args:
        name: of the command.
        marker: of the tests.
        about: what it answers, in a line.
        options: the plugin's options that it has beside those of models, data and the run, by name.
        longer: whether it takes minutes with the built-in toy models.
    """

    name: str
    marker: str
    about: str
    options: tuple[str, ...] = ()
    longer: bool = False


EXPERIMENTS = (
    Experiment("cka", "cka", "do the same samples lie close to each other on both sides?"),
    Experiment(
        "compare",
        "compare",
        "encoders compared: CKA and its kin, by data type, and held-out projections",
        (*_TRAINED, "projectors"),
    ),
    Experiment("multi-llm", "multi_llm", "every encoder with every LLM, by any metric", ("metrics",)),
    Experiment(
        "coral", "coral", "do the two clouds have the same shape? Deep CORAL and spectra", ("basis", "k")
    ),
    Experiment("eas", "eas", "class structure, and the composites of it with CKA and CORAL", ("basis", "k")),
    Experiment(
        "speed", "speed", "latency, throughput and memory of encoders, LLMs and metrics", ("batch_sizes",)
    ),
    Experiment(
        "attention",
        "attention",
        "where encoders look and what texts they find where; with --image and --text in yours",
        ("image", "prompt"),
    ),
    Experiment(
        "embedding",
        "embedding",
        "embedding space in two dimensions, and vision laid over text",
        ("method", "perplexity", "neighbors"),
    ),
    Experiment(
        "elas",
        "elas",
        "ELAS of every pair: CKA, and how well a projection carries over",
        (*_TRAINED, "seeds", "projectors"),
    ),
    Experiment(
        "e2e",
        "e2e",
        "a projector is trained, then held-out images look for their texts",
        (*_TRAINED, "seeds", "loss"),
    ),
    Experiment("layers", "layers", "every layer of each encoder against every layer of each LLM"),
    Experiment("sensitivity", "sensitivity", "does the ranking survive other poolings, layers and scalings?"),
    Experiment("validity", "validity", "which score predicts performance, and how sure is that?"),
    Experiment(
        "study",
        "study",
        "the validity study: many encoders trained and measured; goes on where it was",
        ("study_dir",),
        longer=True,
    ),
    Experiment(
        "vlm",
        "vlm",
        "a small VLM of every pair, its projector trained with the LLM's own loss",
        (*_TRAINED, "seeds", "projectors", "image_tokens"),
        longer=True,
    ),
    Experiment(
        "all",
        "all",
        "compare, speed and embedding together",
        (*_TRAINED, "projectors", "batch_sizes", "method", "perplexity", "neighbors"),
    ),
)
