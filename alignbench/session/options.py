"""The options of a session, checked: one frozen dataclass, whoever they come from."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from alignbench.config import Config, load_config
from alignbench.datasets.copies import ROWS
from alignbench.datasets.dataset import TextField
from alignbench.datasets.roots import VARIABLE
from alignbench.datatypes import RESERVED
from alignbench.encoders.families import FITS, POOLINGS
from alignbench.errors import ConfigError, InputError
from alignbench.experiments.layouts import Reach
from alignbench.findings.gate import parse_gates
from alignbench.llms.base import Quantization
from alignbench.metrics import METRICS
from alignbench.metrics.basis import ALIGN
from alignbench.paths import is_file, user_path
from alignbench.projectors import LOSSES, PROJECTORS
from alignbench.registry import unknown
from alignbench.weights.precision import DTYPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from alignbench.findings.gate import Gate

MATRIX_METRICS = ("calibrated_cka", "mutual_knn")
_LONGEST_NAME = 200  # a file system takes 255, of which time stamp and number take some
METHODS = ("tsne", "umap", "pca")
_BARE = frozenset({"encoders", "llms", "data_types", "n_samples"})
_NOT_SHAPING = frozenset(
    {
        "output_dir",
        "run_name",
        "cache_dir",
        "no_embedding_cache",
        "no_figures",
        "no_thumbnails",
        "study_dir",
        "image",
        "prompt",
        "k",
        "compare",
        "compare_fail",
        "compare_unlike",
    }
)


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for, checked, with the configuration's defaults filled in."""

    encoders: tuple[str, ...]
    llms: tuple[str, ...]
    compared_llms: tuple[str, ...]
    data_types: tuple[str, ...] | None
    n_samples: int
    n_samples_given: bool
    data_root: Path | None
    dataset: str | None
    labels: Path | None
    groups: Path | Literal["rows"] | None
    text_field: TextField
    output_dir: Path
    run_name: str | None
    device: str
    dtype: str
    batch_size: int
    seed: int
    permutations: int | None
    pooling: str | None
    layer: int | None
    llm_layer: int
    fit: str
    l2: bool
    quantize: str | None
    basis: str
    k: int | None
    metrics: tuple[str, ...]
    projectors: tuple[str, ...]
    epochs: int
    splits: int
    seeds: int
    losses: tuple[str, ...]
    methods: tuple[str, ...]
    perplexity: float | None
    neighbors: int | None
    batch_sizes: tuple[int, ...]
    elas_seeds: int
    elas_projectors: tuple[str, ...]
    solved_splits: int
    vlm_encoders: tuple[str, ...] | None
    vlm_projectors: tuple[str, ...]
    vlm_epochs: int
    vlm_splits: int
    vlm_seeds: int
    image_tokens: int
    images: tuple[Path, ...]
    prompts: tuple[str, ...]
    study_dir: Path | None
    standins: bool
    allow_pickle: bool
    cache_dir: Path | None
    embedding_cache: bool
    figures: bool
    thumbnails: bool
    compare: Path | None
    compare_fail: tuple[Gate, ...]
    compare_unlike: bool
    config: Config
    given: tuple[str, ...]

    @classmethod
    def from_values(cls, raw: Mapping[str, Any], folder: Path | None = None) -> Options:
        """Check the values of the options and fill in the defaults.

        Args:
            raw: name of each option -> its value; None, or False for a switch, where it was not given.
            folder: where alignbench.yaml is looked for; the current folder if None.

        Raises:
            ConfigError: a value that can't be, with the option's name and what would do.
        """
        base = load_config(_path("--align-config", raw["config"]), folder=folder)
        encoders = _split("--encoders", raw["encoders"])
        llms = _split("--llms", raw["llms"])
        return cls(
            encoders=encoders or base.default_encoders,
            llms=llms or base.default_llms,
            compared_llms=llms or base.compared_llms,
            data_types=_data_types(raw["data_types"]),
            n_samples=_at_least("--n-samples", raw["n_samples"], 1, base.n_samples),
            n_samples_given=raw["n_samples"] is not None,
            data_root=_path("--align-data-root", raw["data_root"]),
            dataset=raw["dataset"],
            labels=_path("--align-labels", raw["labels"]),
            groups=ROWS if raw["groups"] == ROWS else _path("--align-groups", raw["groups"]),
            text_field=cast(
                "TextField", _one_of("--align-text-field", raw["text_field"], get_args(TextField)) or "answer"
            ),
            output_dir=_path("--align-output-dir", raw["output_dir"]) or base.output_dir,
            run_name=_run_name(raw["run_name"]),
            device=_device(raw["device"] or base.device),
            dtype=_one_of("--align-dtype", raw["dtype"], DTYPES) or "auto",
            batch_size=_at_least("--align-batch-size", raw["batch_size"], 1, 32),
            seed=_at_least("--align-seed", raw["seed"], 0, base.seed),
            permutations=_at_least("--align-permutations", raw["permutations"], 19, None),
            pooling=_one_of("--align-pooling", raw["pooling"], POOLINGS),
            layer=raw["layer"],
            llm_layer=-1 if raw["llm_layer"] is None else raw["llm_layer"],
            fit=_one_of("--align-fit", raw["fit"], FITS) or "native",
            l2=not raw["no_l2"],
            quantize=_one_of("--align-quantize", raw["quantize"], get_args(Quantization)),
            basis=_one_of("--align-basis", raw["basis"], ALIGN) or "procrustes",
            k=_at_least("--align-k", raw["k"], 1, None),
            metrics=_matrix_metrics(raw["metrics"]),
            projectors=_names_of("--align-projectors", raw["projectors"], PROJECTORS),
            epochs=_at_least("--align-epochs", raw["epochs"], 1, 300),
            splits=_at_least("--align-splits", raw["splits"], 2, 5),
            seeds=_at_least("--align-seeds", raw["seeds"], 1, 5),
            losses=_names_of("--align-loss", raw["loss"], ("ridge",), LOSSES),
            methods=_names_of("--align-method", raw["method"], METHODS),
            perplexity=_reach("perplexity", raw["perplexity"]).perplexity,
            neighbors=_reach("neighbors", raw["neighbors"]).neighbors,
            batch_sizes=_sizes("--align-batch-sizes", raw["batch_sizes"]) or (1, 4, 8, 16, 32),
            # The same options with other defaults. ELAS hardly depends on initial weights: they move it by
            # .002, splits by .02 to .04. A VLM takes far more work than a projector of embeddings.
            elas_seeds=_at_least("--align-seeds", raw["seeds"], 1, 3),
            elas_projectors=_names_of("--align-projectors", raw["projectors"], ("linear",), PROJECTORS),
            solved_splits=_at_least("--align-splits", raw["splits"], 2, 40),
            vlm_encoders=None if encoders else _of_both(base.vlm_encoders, base.default_encoders),
            vlm_projectors=_names_of("--align-projectors", raw["projectors"], ("linear",), PROJECTORS),
            vlm_epochs=_at_least("--align-epochs", raw["epochs"], 1, 8),
            vlm_splits=_at_least("--align-splits", raw["splits"], 2, 3),
            vlm_seeds=_at_least("--align-seeds", raw["seeds"], 1, 1),
            image_tokens=_at_least("--align-image-tokens", raw["image_tokens"], 1, 1),
            images=_images(raw["image"]),
            prompts=_prompts(raw["prompt"], raw["image"]),
            study_dir=_path("--align-study-dir", raw["study_dir"]),
            standins=raw["standins"],
            allow_pickle=raw["allow_pickle"],
            cache_dir=_path("--align-cache-dir", raw["cache_dir"]),
            embedding_cache=not raw["no_embedding_cache"],
            figures=not raw["no_figures"],
            thumbnails=not raw["no_thumbnails"],
            compare=_path("--align-compare", raw["compare"]),
            compare_fail=_gates(raw["compare_fail"], raw["compare"]),
            compare_unlike=raw["compare_unlike"],
            config=base,
            given=tuple(_given({**raw, "data_root": raw["data_root"] or os.environ.get(VARIABLE)})),
        )

    @property
    def names_data(self) -> bool:
        """Whether an option, the environment or the configuration says which data to take."""
        named = (self.dataset, self.data_root, os.environ.get(VARIABLE), self.config.data_root)
        return any(place is not None and place != "" for place in named)

    @property
    def reach(self) -> Reach:
        """How many neighbours t-SNE and UMAP look at."""
        return Reach(self.perplexity, self.neighbors)

    def to_dict(self) -> dict[str, Any]:
        """Return what a report records of the options; `config` by its origin only."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        gates = list(map(str, self.compare_fail))
        return {**plain, "compare_fail": gates, "config": list(self.config.origin)}


def _given(raw: dict[str, Any]) -> Iterator[str]:
    """Yield the options that were given and shape the scores, as they would be typed."""
    for name, value in raw.items():
        if value is None or value is False or name in _NOT_SHAPING:
            continue
        option = f"--{name}" if name in _BARE else f"--align-{name}"
        option = option.replace("_", "-")
        yield option if value is True else f"{option}={','.join(value) if isinstance(value, list) else value}"


def _split(option: str, values: Iterable[str] | None) -> tuple[str, ...]:
    names = [name.strip() for value in values or () for name in value.split(",")]
    if not all(names):
        raise ConfigError(f"{option}: an empty name in {','.join(names)!r}; separate names by single commas")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"{option}: {twice[0]!r} is named twice")
    return tuple(names)


def _data_types(values: Iterable[str] | None) -> tuple[str, ...] | None:
    names = _split("--data-types", values)
    for name in names:
        if name in RESERVED:
            raise ConfigError(
                f"--data-types: {name!r} is reserved: {RESERVED[name]}; leave the option out to take all"
            )
    return names or None


def _one_of(option: str, value: str | None, allowed: tuple[str, ...]) -> str | None:
    if value is not None and value not in allowed:
        raise ConfigError(f"{option}: {unknown('value', value, dict.fromkeys(allowed))}")
    return value


def _names_of(
    option: str,
    values: Iterable[str] | None,
    default: tuple[str, ...],
    allowed: tuple[str, ...] | None = None,
) -> tuple[str, ...]:
    """Return the names given, each one of those allowed (the default's, where nothing else is)."""
    names = _split(option, values)
    for name in names:
        _one_of(option, name, default if allowed is None else allowed)
    return names or default


def _matrix_metrics(values: Iterable[str] | None) -> tuple[str, ...]:
    """Return the metrics of the LLM matrices: any that compares an encoder with an LLM."""
    names = _names_of("--align-metrics", values, MATRIX_METRICS, tuple(METRICS))
    two_sided = [name for name in METRICS if METRICS.get(name).two_sided]
    if wrong := [name for name in names if name not in two_sided]:
        raise ConfigError(
            f"--align-metrics: {wrong[0]!r} looks at one side alone: it has no matrix of encoders "
            f"and LLMs; those that compare two: {', '.join(two_sided)}"
        )
    return names


def _images(values: Iterable[str] | None) -> tuple[Path, ...]:
    paths = tuple(user_path(value, "--align-image") for value in values or ())
    if missing := [path for path in paths if not is_file(path)]:
        raise ConfigError(f"--align-image: there is no file {str(missing[0])!r}")
    return paths


def _prompts(values: Iterable[str] | None, images: object) -> tuple[str, ...]:
    prompts = tuple(dict.fromkeys(value.strip() for value in values or ()))
    if not all(prompts):
        raise ConfigError("--align-prompt: expected a text, got an empty one")
    if prompts and not images:
        raise ConfigError("--align-prompt: say in which image to look for it, by --align-image FILE")
    return prompts


def _gates(values: Iterable[str] | None, compared: object) -> tuple[Gate, ...]:
    if not values:
        return ()
    if not compared:
        raise ConfigError("--align-compare-fail: say what to compare with, by --align-compare=RUN")
    return parse_gates(",".join(values), "--align-compare-fail")


def _reach(name: Literal["perplexity", "neighbors"], value: Any) -> Reach:
    try:
        return Reach(**{name: value})
    except InputError as error:
        raise ConfigError(f"--align-{error}") from error


def _of_both(names: tuple[str, ...], among: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names that are among the others; all of those where none is."""
    return tuple(name for name in names if name in among) or among


def _sizes(option: str, values: Iterable[str] | None) -> tuple[int, ...]:
    names = _split(option, values)
    if wrong := [name for name in names if not name.isdecimal() or int(name) < 1]:
        raise ConfigError(f"{option}: expected whole numbers from 1 on, got {wrong[0]!r}")
    return tuple(int(name) for name in names)


def _at_least(option: str, value: int | None, least: int, default: Any) -> Any:
    if value is not None and value < least:
        raise ConfigError(f"{option}: expected at least {least}, got {value}")
    return default if value is None else value


def _device(value: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", value):
        raise ConfigError(f"--align-device: expected auto, cpu, mps, cuda or cuda:N, got {value!r}")
    return value


def _path(option: str, value: str | None) -> Path | None:
    return None if value is None else user_path(value, option)


def _run_name(value: str | None) -> str | None:
    if value is not None and (not value.strip(".") or any(c in r'/\:*?"<>|' or ord(c) < 32 for c in value)):
        raise ConfigError(f"--align-run-name: {value!r} can't be part of a folder's name")
    if value is not None and len(os.fsencode(value)) > _LONGEST_NAME:
        raise ConfigError(
            f"--align-run-name: expected at most {_LONGEST_NAME} bytes, got {len(os.fsencode(value))}"
        )
    return value
