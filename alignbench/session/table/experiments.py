"""Options of single experiments; an experiment names those that it takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alignbench.options import Option
from alignbench.session import checks
from alignbench.session.table.names import Names, of_module

if TYPE_CHECKING:
    from alignbench.experiments.choose.budget import Budget  # noqa: F401  ruff doesn't see its use


class ExperimentOptions:
    """The options that belong to no group."""

    basis = Option[str](
        help="basis of CORAL: procrustes, pca or none",
        metavar="BASIS",
        default="procrustes",
        choices=of_module("alignbench.metrics.basis", "ALIGN"),
    )
    k = Option[int | None](
        help="dimensions of CORAL's shared basis (default: as many as samples and models allow)",
        kind="integer",
        metavar="K",
        least=1,
        shapes_scores=False,  # the command that reproduces a score in a shared basis always sets it
    )
    metrics = Option[Names](
        help="metrics of predictors, multi-llm (default: calibrated_cka, mutual_knn) "
        "and scaling (also linear_cka, rsa)",
        kind="names",
        metavar="NAME",
        default=("calibrated_cka", "mutual_knn"),
        choices=of_module("alignbench.metrics", "METRICS"),
        check=checks.two_sided,
    )
    draws = Option[int](
        help="random samples of each size of the experiment `scaling`",
        kind="integer",
        metavar="N",
        default=10,
        least=2,
        label="Samples of each size",
        most=100,
    )
    projectors = Option[Names](
        help="projectors: linear, mlp, 2layer_mlp, cross_attention (default: all; ELAS and VLMs: linear)",
        kind="names",
        metavar="NAME",
        default=of_module("alignbench.projectors", "PROJECTORS"),
        choices=of_module("alignbench.projectors", "PROJECTORS"),
    )
    epochs = Option[int](
        help="epochs of a projector's training (default: 300; VLMs: 8)",
        kind="integer",
        metavar="N",
        default=300,
        least=1,
        label="Epochs, at most",
        most=5000,
    )
    splits = Option[int](
        help="train/test splits of trained scores (default: 5; 40 if the projector is solved; VLMs: 3)",
        kind="integer",
        metavar="N",
        default=5,
        least=2,
        label="Train/test splits",
        most=40,
    )
    seeds = Option[int](
        help="trainings per split, from different initial weights (default: 5; ELAS: 3; VLMs: 1)",
        kind="integer",
        metavar="N",
        default=5,
        least=1,
        label="Trainings per split",
        most=20,
    )
    losses = Option[Names](
        help="losses of e2e: ridge (solved), contrastive, cosine, mse",
        kind="names",
        metavar="LOSS",
        default=("ridge",),
        choices=of_module("alignbench.projectors", "LOSSES"),
        flag="--align-loss",
        label="Loss",
    )
    methods = Option[Names](
        help="projections to two dimensions: tsne, umap, pca (default: all)",
        kind="names",
        metavar="METHOD",
        default=("tsne", "umap", "pca"),
        choices=("tsne", "umap", "pca"),
        flag="--align-method",
        also=("--methods",),
    )
    perplexity = Option[float | None](
        help="perplexity of t-SNE (default: 30, at most a third of the other samples)",
        kind="number",
        metavar="P",
        least=1,
        label="Perplexity of t-SNE",
    )
    neighbors = Option[int | None](
        help="neighbours of UMAP (default: 15, at most all other samples)",
        kind="integer",
        metavar="N",
        least=2,
        label="Neighbours of UMAP",
    )
    batch_sizes = Option[tuple[int, ...]](
        help="batch sizes of the speed tests",
        kind="integers",
        metavar="N",
        default=(1, 4, 8, 16, 32),
        least=1,
    )
    image_tokens = Option[int](
        help="the largest number of vectors that represent an image to the LLM of a VLM",
        kind="integer",
        metavar="N",
        default=1,
        least=1,
    )
    protocol = Option[str | None](
        help="choices of a paper for layers: prh (Platonic Representation Hypothesis), to compare with it",
        metavar="PAPER",
        choices=("prh",),
    )
    images = Option[tuple[Path, ...]](
        help="an image whose attention maps are drawn (repeatable)",
        kind="texts",
        metavar="FILE",
        default=(),
        check=checks.image_files,
        shapes_scores=False,
        flag="--align-image",
    )
    prompts = Option[Names](
        help="a text to look for in the images of --align-image (repeatable)",
        kind="texts",
        metavar="TEXT",
        default=(),
        check=checks.nonempty_prompts,
        needs=("images", "say in which image to look for it"),
        shapes_scores=False,
        flag="--align-prompt",
        also=("--text",),
    )
    keypoints = Option[Path | None](
        help="a folder in SPair-71k's layout, whose pairs of images are matched (default: drawn pairs)",
        kind="path",
        metavar="DIR",
        check=checks.keypoint_folder,
    )
    table = Option[Path | str | None](
        help="judge the scores of a published table (law, cambrian1) or of a CSV file instead of the run's",
        kind="path",
        metavar="TABLE",
        check=checks.table_of_encoders,
    )
    fill = Option[bool](
        help="score the encoders of --table whose weights can be had with the run's LLM and data, too",
        kind="switch",
        default=False,
        needs=("table", "name the table whose encoders are scored"),
    )
    metric = Option[str](
        help="the metric of the race between encoders",
        metavar="NAME",
        default="debiased_cka",
        choices=of_module("alignbench.metrics", "METRICS"),
        check=checks.metric_of_race,
    )
    margin = Option[float](
        help="end the race when the encoders that are left differ by less than this",
        kind="number",
        metavar="DIFFERENCE",
        default=0.0,
        least=0,
    )
    budget = Option["Budget | None"](
        help="what the race may cost: a time such as 90s, 30m or 2h, or a number of images to embed",
        metavar="BUDGET",
        check=checks.budget,
    )
    error_level = Option[float](
        help="the largest probability with which the race drops the best encoder",
        kind="number",
        metavar="P",
        default=0.05,
        check=checks.probability,
        flag="--align-error",
    )
    final = Option[str | None](
        help="train projectors of the encoders that are left: e2e or vlm",
        metavar="EXPERIMENT",
        choices=("e2e", "vlm"),
    )
    study_dir = Option[Path | None](
        help="the folder of encoders, cells and results of -m study (default: in the user's cache folder)",
        kind="path",
        metavar="DIR",
        shapes_scores=False,
    )
