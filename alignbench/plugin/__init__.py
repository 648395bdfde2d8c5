"""The pytest plugin's entry point: command line options, and nothing else.

It is imported in every pytest run of an environment that has alignbench, so it must stay a good guest: no
fixture, no hook that acts, no import beyond pytest's own. Fixtures and hooks are in
`alignbench.plugin.fixtures`, which a root conftest.py asks for:
`pytest_plugins = ["alignbench.plugin.fixtures"]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_NAMES = "NAME[,NAME...]"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; `alignbench.session.options` reads them."""
    group = parser.getgroup("alignbench", "alignbench: vision encoders against LLMs")

    def add(name: str, text: str, **kwargs: object) -> None:
        dest = "alignbench_" + name.lstrip("-").removeprefix("align-").replace("-", "_")
        group.addoption(name, dest=dest, help=text, **kwargs)

    many = {"action": "append", "metavar": _NAMES}
    add(
        "--encoders",
        "vision encoders: names, folders, hf:org/name, open_clip:, timm:, npy:file.npy, or alias=spec",
        **many,
    )
    add("--llms", "LLMs: names, folders, hf:org/name, gguf:file.gguf, npy:file.npy, or alias=spec", **many)
    add("--data-types", "the data types to use (default: all that the data has)", **many)
    add("--n-samples", "samples per data type (default: 30)", type=int, metavar="N")

    add(
        "--align-config",
        "a YAML file over the packaged defaults (default: ./alignbench.yaml)",
        metavar="FILE",
    )
    add("--align-data-root", "the root of your images and texts (or VLM_DATA_ROOT)", metavar="DIR")
    add("--align-dataset", "a registered dataset: sample_data, synthetic, or your own", metavar="NAME")
    add(
        "--align-labels",
        "data types of the rows, one a line or .npy, where all models are npy: and no data is named",
        metavar="FILE",
    )
    add(
        "--align-groups",
        "groups of the rows, likewise; or `rows`: equal rows are one group (default: each row is its own)",
        metavar="FILE",
    )
    add("--align-text-field", "what an image is paired with: answer, question or both", metavar="FIELD")
    add("--align-output-dir", "where run folders go (default: reports, or VLM_OUTPUT_DIR)", metavar="DIR")
    add("--align-run-name", "the run folder's name after its time stamp", metavar="NAME")
    add("--align-device", "auto, cpu, cuda, cuda:1, mps", metavar="DEVICE")
    add("--align-dtype", "auto, float32, bfloat16 or float16 (auto: bf16 where it is fast)", metavar="DTYPE")
    add("--align-batch-size", "images per forward pass (default: 32)", type=int, metavar="N")
    add("--align-seed", "seed of sampling, splits and permutations (default: 42)", type=int, metavar="SEED")
    add(
        "--align-permutations", "permutations of a null (default: 999; 199 where slow)", type=int, metavar="K"
    )
    add("--align-pooling", "pooling of the encoders: cls, pooler, mean, projected", metavar="POOLING")
    add("--align-layer", "hidden layer of the encoders, from 0; negative from the end", type=int, metavar="I")
    add("--align-llm-layer", "hidden layer of the LLMs (default: -1, the last)", type=int, metavar="I")
    add("--align-fit", "how images meet the input size: native, pad or squash", metavar="FIT")
    add("--align-no-l2", "keep the vectors' lengths (default: unit vectors)", action="store_true")
    add("--align-quantize", "load LLMs in 4bit or 8bit (CUDA, extra `quant`)", metavar="BITS")
    add("--align-basis", "basis of CORAL: procrustes, pca or none (default: procrustes)", metavar="BASIS")
    add("--align-k", "dimensions of CORAL's shared basis (default: from the run)", type=int, metavar="K")
    add("--align-metrics", "metrics of the LLM matrices (default: calibrated_cka, mutual_knn)", **many)
    add(
        "--align-projectors",
        "projectors to train: linear, mlp, 2layer_mlp, cross_attention (default: all; ELAS and VLMs: linear)",
        **many,
    )
    add("--align-epochs", "epochs that a projector is trained for (default: 300)", type=int, metavar="N")
    add(
        "--align-splits",
        "train/test splits of trained scores (default: 5; where a projector is solved: 40)",
        type=int,
        metavar="N",
    )
    add(
        "--align-seeds",
        "trainings a split, from other initial weights (default: 5; ELAS: 3)",
        type=int,
        metavar="N",
    )
    add(
        "--align-loss",
        "what e2e trains for: ridge, contrastive, cosine, mse (default: ridge, which is solved)",
        action="append",
        metavar="LOSS[,LOSS...]",
    )
    add(
        "--align-method",
        "projections to two dimensions: tsne, umap, pca (default: all)",
        action="append",
        metavar="METHOD[,METHOD...]",
    )
    add(
        "--align-perplexity",
        "perplexity of t-SNE (default: 30, at most a third of the other samples)",
        type=float,
        metavar="P",
    )
    add(
        "--align-neighbors",
        "neighbours of UMAP (default: 15, at most all other samples)",
        type=int,
        metavar="N",
    )
    add(
        "--align-batch-sizes",
        "batch sizes of the speed tests (default: 1,4,8,16,32)",
        action="append",
        metavar="N[,N...]",
    )
    add(
        "--align-image-tokens",
        "vectors that an image becomes for the LLM of a VLM, at most (default: 1)",
        type=int,
        metavar="N",
    )
    add(
        "--align-image",
        "an image whose attention maps are drawn (repeatable)",
        action="append",
        metavar="FILE",
    )
    add(
        "--align-prompt",
        "what is looked for in the images of --align-image (repeatable)",
        action="append",
        metavar="TEXT",
    )
    add(
        "--align-standins",
        "run the built-in toy model of a family whose weights are missing",
        action="store_true",
    )
    add(
        "--align-study-dir",
        "where -m study keeps encoders, cells and its result (default: in the user's cache folder)",
        metavar="DIR",
    )
    add("--align-allow-pickle", "accept pickled weights (weights_only)", action="store_true")
    add("--align-cache-dir", "where embeddings are cached (or ALIGNBENCH_CACHE)", metavar="DIR")
    add("--align-no-embedding-cache", "cache embeddings for this run only", action="store_true")
    add("--align-no-figures", "write scores, summary and report without figures", action="store_true")
    add(
        "--align-no-thumbnails",
        "keep pictures and texts of the data out of the run's folder and report",
        action="store_true",
    )
    add(
        "--align-compare",
        "a run's folder or scores.json: at the end of this run, say what changed since then",
        metavar="RUN",
    )
    add(
        "--align-compare-fail",
        "by how much a metric may become worse than in RUN, such as linear_cka:0.02,eas:5%%",
        action="append",
        metavar="METRIC:TOLERANCE[,...]",
    )
    add(
        "--align-compare-unlike",
        "compare with RUN although data, weights, preprocessing or seed are others",
        action="store_true",
    )
