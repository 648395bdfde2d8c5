"""Options of a run: its arithmetic, its files, and what it is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alignbench.options import Option
from alignbench.session import checks
from alignbench.session.table.names import of_module

if TYPE_CHECKING:
    from alignbench.findings.gate import Gate


class RunOptions:
    """The options of the group `run`."""

    config_file = Option[Path | None](
        name="config",
        help="a YAML file over the packaged defaults (default: ./alignbench.yaml)",
        kind="path",
        group="run",
        metavar="FILE",
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
        choices=of_module("alignbench.weights.precision", "DTYPES"),
    )
    batch_size = Option[int](
        help="images per forward pass", kind="integer", group="run", metavar="N", default=32, least=1
    )
    executor = Option[str](
        help="who embeds: local, this process, or ray, the workers of a Ray cluster (extra `ray`)",
        group="run",
        metavar="WHERE",
        default="local",
        choices=of_module("alignbench.executors", "EXECUTORS"),
        check=checks.executor_name,
        shapes_scores=False,
    )
    shards = Option[int](
        help="samples in a shard of the data: batches of texts and lost work don't reach across",
        kind="integer",
        group="run",
        metavar="N",
        default=1024,
        least=1,
        label="Samples in a shard",
        most=100_000,
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
        help="permutations of a null (default: 999; 199 for slow metrics; above 300 groups, none or few)",
        kind="integer",
        group="run",
        metavar="K",
        least=19,
        label="Shuffled pairings (for p)",
        most=10_000,
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
        help="an earlier run's folder, its scores.json or a baseline: report at the end what has changed",
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
    update = Option[bool](
        help="accept this run as the new baseline: write its scores to the file that --align-compare names",
        kind="switch",
        group="run",
        default=False,
        needs=("compare", "name the file of the baseline"),
        shapes_scores=False,
    )
    against = Option[Path | None](
        help="a folder of published results: show those on the same data beside this run's encoders",
        kind="path",
        group="run",
        metavar="DIR",
        shapes_scores=False,
    )
    annotations = Option[bool](
        help="whether GitHub Actions gets failures and regressions as annotations, and the run's summary",
        flag_help="print no annotations in GitHub Actions, and add nothing to the summary of the step",
        kind="switch",
        group="run",
        default=True,
        shapes_scores=False,
        flag="--align-no-annotations",
    )
