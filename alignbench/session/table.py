"""All options of alignbench itself, each declared once.

Every pytest run of an environment imports this module, so heavy modules are imported when a value is read.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from alignbench.options import OPTIONS, Option
from alignbench.session import checks

if TYPE_CHECKING:
    from collections.abc import Callable

    from alignbench.findings.gate import Gate

Names = tuple[str, ...]


def _of(module: str, name: str) -> Callable[[], Names]:
    """Return a function that imports a module and returns the names in one of its registries or tuples."""
    return lambda: tuple(getattr(import_module(module), name))


class BuiltInOptions:
    """The options as attributes; on an object that holds values, each attribute is the option's value."""

    encoders = Option[Names](
        help="vision encoders: names, folders, hf:org/name, VLM#vision, VLM#projected, open_clip:, timm:, "
        "npy:file.npy, or alias=spec",
        kind="names",
        group="models",
        metavar="NAME",
        configured="default_encoders",
        flag="--encoders",
    )
    llms = Option[Names](
        help="LLMs: names, folders, hf:org/name, VLM#text, gguf:file.gguf, npy:file.npy, or alias=spec",
        kind="names",
        group="models",
        metavar="NAME",
        configured="default_llms",
        flag="--llms",
        label="LLMs",
    )
    data_types = Option[Names | None](
        help="the data types to use (default: all that the data has)",
        kind="names",
        group="data",
        metavar="NAME",
        check=checks.no_reserved_type,
        flag="--data-types",
    )
    n_samples = Option[int | Literal["all"]](
        help="samples per data type, or `all` (default: 30)",
        kind="integer",
        group="data",
        metavar="N",
        configured="n_samples",
        least=1,
        flag="--n-samples",
        label="Samples per type",
        most=5000,
        word="all",
    )
    config_file = Option[Path | None](
        name="config",
        help="a YAML file over the packaged defaults (default: ./alignbench.yaml)",
        kind="path",
        group="run",
        metavar="FILE",
    )
    data = Option[str | None](
        help="your data: a file, a folder, READER:path, hf:org/name, or a registered name; see docs/data.md",
        group="data",
        metavar="SPEC",
    )
    columns = Option[Names](
        help="what the columns of a table are: image=, text= (or text=none), question=, type=, group=, id=",
        kind="names",
        group="data",
        metavar="ROLE=COLUMN",
        default=(),
        check=checks.columns,
    )
    type_from = Option[str | None](
        help="where data types come from: folder, column:NAME, or none (default: what the format means)",
        group="data",
        metavar="WHERE",
        check=checks.type_source,
    )
    image_root = Option[Path | None](
        help="a further folder in which the images that the data name are looked for",
        kind="path",
        group="data",
        metavar="DIR",
    )
    follow_links = Option[bool](
        help="whether links may lead out of the images' folders, as the Hub's cache needs it",
        kind="switch",
        group="data",
        default=False,
    )
    data_root = Option[Path | None](
        help="the root of your images and texts (or VLM_DATA_ROOT)", kind="path", group="data", metavar="DIR"
    )
    dataset = Option[str | None](
        help="a registered dataset: sample_data, synthetic, or your own", group="data", metavar="NAME"
    )
    labels = Option[Path | None](
        help="data types of the rows, one per line or .npy, if all models are npy: and no data is named",
        kind="path",
        group="data",
        metavar="FILE",
    )
    groups = Option[Path | Literal["rows"] | None](
        help="likewise the rows' groups; or `rows`: equal rows are one group (default: one group per row)",
        group="data",
        metavar="FILE",
        check=checks.groups_file,
    )
    text_field = Option[Literal["answer", "question", "both"]](
        help="the text that an image is paired with: answer, question or both",
        group="data",
        metavar="FIELD",
        default="answer",
        choices=("answer", "question", "both"),
    )
    output_dir = Option[Path](
        help="the folder for the folders of runs (default: reports, or VLM_OUTPUT_DIR)",
        kind="path",
        group="run",
        metavar="DIR",
        configured="output_dir",
        shapes_scores=False,
    )
    run_name = Option[str | None](
        help="the name of the run's folder, after its time stamp",
        group="run",
        metavar="NAME",
        check=checks.folder_name,
        shapes_scores=False,
    )
    device = Option[str](
        help="the device: auto, cpu, cuda, cuda:1 or mps",
        group="run",
        metavar="DEVICE",
        configured="device",
        check=checks.device_name,
    )
    dtype = Option[str](
        help="the arithmetic: auto, float32, bfloat16 or float16; auto is bfloat16 where that is fast",
        group="run",
        metavar="DTYPE",
        default="auto",
        choices=_of("alignbench.weights.precision", "DTYPES"),
    )
    batch_size = Option[int](
        help="images per forward pass", kind="integer", group="run", metavar="N", default=32, least=1
    )
    seed = Option[int](
        help="seed of sampling, splits and permutations (default: 42)",
        kind="integer",
        group="run",
        metavar="SEED",
        configured="seed",
        least=0,
        most=2**31 - 1,
    )
    permutations = Option[int | None](
        help="permutations of a null (default: 999; 199 for slow metrics)",
        kind="integer",
        group="run",
        metavar="K",
        least=19,
        label="Shuffled pairings (for p)",
        most=10_000,
    )
    pooling = Option[str | None](
        help="pooling of the encoders: cls, pooler, mean, projected",
        group="models",
        metavar="POOLING",
        choices=_of("alignbench.encoders.families", "POOLINGS"),
    )
    layer = Option[int | None](
        help="hidden layer of the encoders, from 0; negative from the end",
        kind="integer",
        group="models",
        metavar="I",
    )
    llm_layer = Option[int](
        help="hidden layer of the LLMs; -1 is the last",
        kind="integer",
        group="models",
        metavar="I",
        default=-1,
    )
    fit = Option[str](
        help="how images are fitted to the input size: native, pad or squash",
        group="models",
        metavar="FIT",
        default="native",
        choices=_of("alignbench.encoders.families", "FITS"),
    )
    l2 = Option[bool](
        help="whether vectors are scaled to unit length",
        flag_help="keep the vectors' lengths (default: unit vectors)",
        kind="switch",
        group="models",
        default=True,
        flag="--align-no-l2",
    )
    quantize = Option[str | None](
        help="load LLMs in 4bit or 8bit (CUDA, extra `quant`)",
        group="models",
        metavar="BITS",
        choices=("4bit", "8bit"),
    )
    basis = Option[str](
        help="basis of CORAL: procrustes, pca or none",
        metavar="BASIS",
        default="procrustes",
        choices=_of("alignbench.metrics.basis", "ALIGN"),
    )
    k = Option[int | None](
        help="dimensions of CORAL's shared basis (default: as many as samples and models allow)",
        kind="integer",
        metavar="K",
        least=1,
        shapes_scores=False,  # the command that reproduces a score in a shared basis always sets it
    )
    metrics = Option[Names](
        help="metrics of the LLM matrices",
        kind="names",
        metavar="NAME",
        default=("calibrated_cka", "mutual_knn"),
        choices=_of("alignbench.metrics", "METRICS"),
        check=checks.two_sided,
    )
    projectors = Option[Names](
        help="projectors: linear, mlp, 2layer_mlp, cross_attention (default: all; ELAS and VLMs: linear)",
        kind="names",
        metavar="NAME",
        default=_of("alignbench.projectors", "PROJECTORS"),
        choices=_of("alignbench.projectors", "PROJECTORS"),
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
        choices=_of("alignbench.projectors", "LOSSES"),
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
    standins = Option[bool](
        help="where weights are missing, run the built-in toy model of the family instead",
        kind="switch",
        group="models",
        default=False,
    )
    study_dir = Option[Path | None](
        help="the folder of encoders, cells and results of -m study (default: in the user's cache folder)",
        kind="path",
        metavar="DIR",
        shapes_scores=False,
    )
    allow_pickle = Option[bool](
        help="read pickled weights (with weights_only)", kind="switch", group="models", default=False
    )
    cache_dir = Option[Path | None](
        help="the folder of cached embeddings (or ALIGNBENCH_CACHE)",
        kind="path",
        group="run",
        metavar="DIR",
        shapes_scores=False,
    )
    embedding_cache = Option[bool](
        help="whether embeddings are kept for later runs",
        flag_help="cache embeddings for this run only",
        kind="switch",
        group="run",
        default=True,
        shapes_scores=False,
        flag="--align-no-embedding-cache",
    )
    figures = Option[bool](
        help="whether figures are drawn",
        flag_help="write scores, summary and report without figures",
        kind="switch",
        group="run",
        default=True,
        shapes_scores=False,
        flag="--align-no-figures",
    )
    thumbnails = Option[bool](
        help="whether images and texts of the data are put into the run's folder and report",
        flag_help="keep images and texts of the data out of the run's folder and report",
        kind="switch",
        group="run",
        default=True,
        shapes_scores=False,
        flag="--align-no-thumbnails",
    )
    compare = Option[Path | None](
        help="an earlier run's folder or scores.json: report at the end what has changed since then",
        kind="path",
        group="run",
        metavar="RUN",
        shapes_scores=False,
    )
    compare_fail = Option[tuple["Gate", ...]](
        help="fail if a metric became worse than in RUN by more than this: linear_cka:0.02,eas:5%",
        kind="texts",
        group="run",
        metavar="METRIC:TOLERANCE[,...]",
        default=(),
        check=checks.gates,
        needs=("compare", "say what to compare with"),
        shapes_scores=False,
    )
    compare_unlike = Option[bool](
        help="compare with RUN even if data, weights, preprocessing or seed differ",
        kind="switch",
        group="run",
        default=False,
        shapes_scores=False,
    )


for _option in vars(BuiltInOptions).values():
    if isinstance(_option, Option):
        OPTIONS.add(_option)
