"""The options of the plugin that every command of an experiment has, by group."""

from __future__ import annotations

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
COMMON = {"models": MODELS, "data": DATA, "run": RUN}
