"""Fixtures and hooks of the suite.

A root conftest.py asks for them: `pytest_plugins = ["alignbench.plugin.fixtures"]`.
"""

from __future__ import annotations

import atexit
import gc
import itertools
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from alignbench.errors import AlignbenchError, UnwritableError
from alignbench.experiments.attention.scores import Subject
from alignbench.experiments.vlm.scores import PERMUTATIONS, VLMSettings
from alignbench.plots.text import clean
from alignbench.plugin import shortage, timing
from alignbench.plugin.against import Against
from alignbench.plugin.collect import Collector
from alignbench.plugin.environment import share_out_gpus
from alignbench.plugin.failures import Failures
from alignbench.plugin.options import Options
from alignbench.plugin.record import Recorder
from alignbench.plugin.runfolder import RunFolder
from alignbench.plugin.selection import AXES, JOIN, Needed, experiment_of, needed_by_items
from alignbench.plugin.study import StudyRun, asked_for, name_in, study_encoders
from alignbench.plugin.suite import Suite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from alignbench.datasets import Dataset
    from alignbench.encoders import Encoder
    from alignbench.llms import LLM
    from alignbench.llms.base import CausalLM
    from alignbench.types import Embeddings, Layers, Pair, Patches
    from alignbench.weights.custom import Custom

SUITE = pytest.StashKey[Suite]()
FOLDER = pytest.StashKey[RunFolder]()
# The entry point loads the options; this does where entry points are off.
pytest_plugins = ["alignbench.plugin"]

EXPERIMENTS = {
    "cka": "similarity of representations: every metric that sees the pairing",
    "coral": "distribution alignment: Deep CORAL and spectra",
    "eas": "class structure, and the composites of it with CKA and CORAL",
    "multi_llm": "every encoder with every LLM",
    "compare": "encoders compared: held-out projections, data types, projectors, each other",
    "elas": "ELAS of every encoder with every LLM: CKA, and how well a projection carries over",
    "e2e": "end to end: the text that belongs to an image is found after a trained projector",
    "vlm": "a small VLM of every pair, its projector trained with the LLM's own loss",
    "validity": "which score predicts performance: correlations over trainings, and what they are worth",
    "embedding": "embedding space in two dimensions",
    "sensitivity": "the same score under other pooling, layer, fit and scaling: does the ranking survive?",
    "layers": "every layer of each encoder against every layer of each LLM",
    "attention": "where encoders look and what texts they find where, checked on scenes with known places",
    "speed": "latency, throughput and memory of encoders, LLMs and metrics",
    "invariants": "declared properties of every registered metric",
}
MARKERS = {
    **EXPERIMENTS,
    "study": "the validity study: many encoders trained and measured; hours, and it goes on where it was",
    "all": "compare, speed and embedding together",
}
_LONG = ("vlm", "study")


def pytest_configure(config: pytest.Config) -> None:
    """Check every name and option before anything is collected, and start to collect scores."""
    for name, meaning in MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")
    # What is left at the end goes with the process; searching it for garbage would take a second or two.
    atexit.register(gc.freeze)
    try:
        suite = Suite.from_options(Options.from_pytest(config))
    except AlignbenchError as error:
        raise pytest.UsageError(clean(str(error))) from error
    config.stash[SUITE] = suite
    output_dir = config.invocation_params.dir / suite.options.output_dir
    gate = timing.start(config, suite, output_dir.absolute())
    config.pluginmanager.register(timing, "alignbench-timing")
    failures = Failures(suite, tuple(EXPERIMENTS))
    config.pluginmanager.register(failures, "alignbench-failures")
    config.pluginmanager.register(shortage, "alignbench-shortage")
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        config.stash[FOLDER] = RunFolder(Path(worker["alignbench_run"]))
        if suite.options.device in {"auto", "cuda"}:
            share_out_gpus(worker["workerid"])
        return
    try:
        against = Against.from_options(suite.options, config.invocation_params.dir)
    except AlignbenchError as error:
        raise pytest.UsageError(clean(str(error))) from error
    folder = RunFolder.named(output_dir, suite.options.run_name or _run_name(config))
    config.stash[FOLDER] = folder
    config.pluginmanager.register(
        Collector(config, suite, folder, failures, gate, against), "alignbench-collector"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Claim the run's folder before workers are told of it, and before anything is collected or embedded."""
    config = session.config
    if config.option.collectonly or hasattr(config, "workerinput"):
        return
    folder = config.stash[FOLDER]
    try:
        folder.claim()
    except UnwritableError as error:
        raise pytest.UsageError(
            f"the report folder {clean(str(error))}; name another with --align-output-dir"
        ) from error


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Take the run's folder away if nothing came of the run."""
    if (folder := config.stash.get(FOLDER, None)) is not None:
        folder.leave()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Tell an xdist worker which run folder is ours."""
    config, workerinput = node.config, node.workerinput  # type: ignore[attr-defined]
    workerinput["alignbench_run"] = str(config.stash[FOLDER].path)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long unless it is asked for: by marker, by keyword or by its file."""
    option = config.option
    for marker in _LONG:
        if not asked_for(marker, option.markexpr, option.keyword, config.args):
            left_out = [item for item in items if item.get_closest_marker(marker)]
            items[:] = [item for item in items if not item.get_closest_marker(marker)]
            config.hook.pytest_deselected(items=left_out)


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize the axes that a test asks for, with plain strings, in the order given."""
    suite = metafunc.config.stash[SUITE]
    selected: dict[str, Sequence[object]] = {
        "encoder": list(suite.encoders),
        "llm": list(suite.paired_llms),
        "vision_pair": _couples(suite.encoders),
        "text_pair": _couples(suite.llms),
        "compared_llm": list(suite.llms),
    }
    for axis in AXES:
        if axis in metafunc.fixturenames and not _is_pinned(metafunc, axis):
            metafunc.parametrize(axis, selected[axis] or [_too_few(axis)], indirect=True, scope="session")
    for name, values in suite.options.swept.items():
        if name in metafunc.fixturenames and not _is_pinned(metafunc, name):
            metafunc.parametrize(name, values)
    if "study_encoder" in metafunc.fixturenames:
        specs = study_encoders(suite.options)
        metafunc.parametrize("study_encoder", specs, ids=[name_in(spec) for spec in specs])


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note whose patches will be asked for, so that images and patches take one load of the weights."""
    suite = session.config.stash[SUITE]
    needed = needed_by_items(session.items, tuple(suite.encoders), tuple(suite.llms))
    suite.patched = frozenset(needed.patches)
    suite.layered = any("layers" in getattr(item, "fixturenames", ()) for item in session.items)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a measurement of what is not there: arrays have vectors, but no model and no images."""
    if item.get_closest_marker("speed") and (why := _nothing_to_time(item, item.config.stash[SUITE])):
        pytest.skip(why)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> None:
    """Report the loads of weights with the test that needed them."""
    loads = item.config.stash[SUITE].take_loads()
    item.user_properties += [
        ("alignbench-load", {"model": model, "seconds": seconds, "purpose": purpose})
        for model, seconds, purpose in loads
    ]


@pytest.fixture(scope="session")
def alignbench_suite(pytestconfig: pytest.Config) -> Suite:
    """The run's selection, data and embeddings."""
    return pytestconfig.stash[SUITE]


@pytest.fixture(scope="session")
def dataset(alignbench_suite: Suite) -> Dataset:
    """The samples of the run."""
    return alignbench_suite.dataset


@pytest.fixture(scope="session")
def encoder(request: pytest.FixtureRequest, alignbench_suite: Suite) -> Encoder | Custom:
    """Each selected encoder in turn: a handle that loads its weights when it is asked to embed."""
    return alignbench_suite.encoders[request.param]


@pytest.fixture(scope="session")
def llm(request: pytest.FixtureRequest, alignbench_suite: Suite) -> LLM | Custom:
    """Each selected LLM in turn."""
    return alignbench_suite.llms[request.param]


@pytest.fixture(scope="session")
def pair(encoder: Encoder | Custom, llm: LLM | Custom, alignbench_suite: Suite) -> Pair:
    """The embeddings of each selected encoder and LLM over the same samples."""
    return alignbench_suite.pair(alignbench_suite.vision(encoder), alignbench_suite.text(llm))


@pytest.fixture(scope="session")
def compared_llm(request: pytest.FixtureRequest, alignbench_suite: Suite) -> LLM | Custom:
    """Each LLM that is compared with others in turn: more than `llm` where none was named."""
    return alignbench_suite.llms[request.param]


@pytest.fixture(scope="session")
def compared_pair(encoder: Encoder | Custom, compared_llm: LLM | Custom, alignbench_suite: Suite) -> Pair:
    """The embeddings of each selected encoder and each compared LLM over the same samples."""
    return alignbench_suite.pair(alignbench_suite.vision(encoder), alignbench_suite.text(compared_llm))


@pytest.fixture(scope="session")
def patches(encoder: Encoder | Custom, alignbench_suite: Suite) -> Callable[[], Patches]:
    """Gives each selected encoder's patch embeddings when it is called; skips where there are none."""

    def embed() -> Patches:
        if not alignbench_suite.has_patches(encoder):
            pytest.skip(f"{encoder.info.label} gives no patch embeddings")
        return alignbench_suite.patches(encoder)

    return cache(embed)


@pytest.fixture(scope="session")
def layers(alignbench_suite: Suite) -> Callable[[Encoder | LLM | Custom], Layers]:
    """Gives every hidden layer of a model, pooled, when it is called with it."""
    return alignbench_suite.layers


@pytest.fixture(scope="session")
def varied(alignbench_suite: Suite) -> Callable[..., Embeddings]:
    """Gives a model's embeddings under other options when it is called with both."""
    return alignbench_suite.varied


@pytest.fixture
def looking(
    encoder: Encoder | Custom, alignbench_suite: Suite
) -> Callable[[], AbstractContextManager[Encoder]]:
    """Gives each selected encoder in memory when it is called, for maps over whole images."""
    return lambda: alignbench_suite.looking(cast("Encoder", encoder))


@pytest.fixture(scope="session")
def shown(alignbench_suite: Suite) -> Subject:
    """The user's images and prompts, of which maps are drawn."""
    from alignbench.datasets.images import open_image

    options = alignbench_suite.options
    return Subject(tuple((path.name, open_image(path)) for path in options.images), options.prompts)


@pytest.fixture(scope="module")
def frozen_llm(llm: LLM | Custom, alignbench_suite: Suite) -> Iterator[Callable[[], CausalLM]]:
    """Gives each selected LLM with its head, loaded when it is called and freed after the module's tests."""
    if not callable(getattr(llm, "with_head", None)):
        pytest.skip(f"{llm.info.label} gives embeddings only: a VLM needs an LLM's weights, with its head")
    causal = cast("LLM", llm).with_head()
    with ExitStack() as stack:

        def load() -> CausalLM:
            if not causal.loaded:
                stack.enter_context(alignbench_suite.holding(causal))
            return causal

        yield load


@pytest.fixture
def vlm_settings(encoder: Encoder | Custom, vlm_projector: str, alignbench_suite: Suite) -> VLMSettings:
    """How the VLM of the encoder is trained; skips an encoder that the default run leaves out."""
    options, name = alignbench_suite.options, encoder.info.stand_in_for or encoder.info.name
    if options.vlm_encoders is not None and name not in options.vlm_encoders:
        pytest.skip(
            f"by default a VLM is trained of {' and '.join(options.vlm_encoders)}; "
            f"name others with --encoders"
        )
    return VLMSettings(
        vlm_projector,
        options.vlm_epochs,
        options.vlm_splits,
        options.vlm_seeds,
        options.seed,
        options.image_tokens,
        permutations=options.permutations or PERMUTATIONS,
    )


@pytest.fixture(scope="session")
def study(alignbench_suite: Suite) -> StudyRun:
    """The validity study: its encoders, LLMs and drawings, and the cells that it has on disk."""
    return StudyRun.of(alignbench_suite.options)


@pytest.fixture(scope="session")
def vision_pair(request: pytest.FixtureRequest, alignbench_suite: Suite) -> Pair:
    """Each two selected encoders over the same images."""
    first, second = (alignbench_suite.encoders[name] for name in request.param.split(JOIN))
    return alignbench_suite.pair(alignbench_suite.vision(first), alignbench_suite.vision(second))


@pytest.fixture(scope="session")
def text_pair(request: pytest.FixtureRequest, alignbench_suite: Suite) -> Pair:
    """Each two compared LLMs over the same texts."""
    first, second = (alignbench_suite.llms[name] for name in request.param.split(JOIN))
    return alignbench_suite.pair(alignbench_suite.text(first), alignbench_suite.text(second))


@pytest.fixture(scope="session")
def encoders(alignbench_suite: Suite) -> Mapping[str, Encoder | Custom]:
    """All selected encoders by name."""
    return alignbench_suite.encoders


@pytest.fixture(scope="session")
def llms(alignbench_suite: Suite) -> Mapping[str, LLM | Custom]:
    """All selected LLMs by name."""
    return alignbench_suite.llms


@pytest.fixture(scope="session")
def vision_side(encoder: Encoder | Custom, alignbench_suite: Suite) -> Pair:
    """Each selected encoder's embeddings, as a pair with themselves: for metrics of one side."""
    vectors = alignbench_suite.vision(encoder)
    return alignbench_suite.pair(vectors, vectors)


@pytest.fixture(scope="session")
def text_side(llm: LLM | Custom, alignbench_suite: Suite) -> Pair:
    """Each selected LLM's embeddings, as a pair with themselves."""
    vectors = alignbench_suite.text(llm)
    return alignbench_suite.pair(vectors, vectors)


@pytest.fixture(scope="session")
def embeddings(alignbench_suite: Suite) -> Mapping[str, Embeddings]:
    """The embeddings of all selected encoders and LLMs, by name."""
    return alignbench_suite.all_embeddings(
        Needed(tuple(alignbench_suite.encoders), tuple(alignbench_suite.llms))
    )


@pytest.fixture(scope="session")
def alignbench_dims(request: pytest.FixtureRequest, alignbench_suite: Suite) -> Callable[[], tuple[int, ...]]:
    """Gives the widths of all models that the collected tests use."""

    def dims() -> tuple[int, ...]:
        suite = alignbench_suite
        needed = needed_by_items(request.session.items, tuple(suite.encoders), tuple(suite.llms))
        return suite.dims(needed)

    return cache(dims)


@pytest.fixture
def record(
    request: pytest.FixtureRequest, alignbench_suite: Suite, alignbench_dims: Callable[[], tuple[int, ...]]
) -> Recorder:
    """Computes a score with null and interval, and hands it to the report."""
    item = cast("pytest.Item", request.node)
    experiment = experiment_of(item, EXPERIMENTS)
    suite, folder = alignbench_suite, item.config.stash[FOLDER]
    return Recorder(item, folder, experiment, suite.options, alignbench_dims, suite.flags_of)


def _is_pinned(metafunc: pytest.Metafunc, axis: str) -> bool:
    """Whether the test names its own models, or a fixture of its own takes the place of ours."""
    named: set[str] = set()
    for mark in metafunc.definition.iter_markers("parametrize"):
        names = mark.args[0] if mark.args else mark.kwargs["argnames"]
        named |= {n.strip() for n in names.split(",")} if isinstance(names, str) else set(names)
    definitions = metafunc.definition._fixtureinfo.name2fixturedefs.get(axis, ())
    return axis in named or (bool(definitions) and definitions[-1].func.__module__ != __name__)


def _nothing_to_time(item: pytest.Item, suite: Suite) -> str | None:
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    models = {**suite.encoders, **suite.llms}
    for axis in ("encoder", "llm", "compared_llm"):
        model = models.get(str(parameters.get(axis)))
        if model is not None and not suite.runs(model):
            return f"{model.info.label} is arrays that were computed elsewhere: there is no model to be timed"
    if suite.rows and "dataset" in getattr(item, "fixturenames", ()):
        return "the samples are rows of arrays: there are no images"
    return None


def _couples(names: Iterable[str]) -> list[str]:
    return [JOIN.join(two) for two in itertools.combinations(names, 2)]


def _too_few(axis: str) -> object:
    what = "--encoders" if axis == "vision_pair" else "--llms"
    return pytest.param(
        "needs-two", marks=pytest.mark.skip(reason=f"compares two models: name two with {what}")
    )


def _run_name(config: pytest.Config) -> str:
    words = "".join(c if c.isalnum() else " " for c in f"{config.option.keyword} {config.option.markexpr}")
    return "-".join(words.split())[:40] or "benchmarks"
