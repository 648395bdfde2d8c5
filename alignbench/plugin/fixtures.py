"""Fixtures and hooks of the suite.

A root conftest.py loads them: `pytest_plugins = ["alignbench.plugin.fixtures"]`.
"""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from alignbench.embed import runs
from alignbench.errors import UnwritableError
from alignbench.experiments import defaults_of, experiments, needing
from alignbench.plugin import timing
from alignbench.plugin.against import Against, shared_folder
from alignbench.plugin.cell import Cell
from alignbench.plugin.collect import Collector
from alignbench.plugin.failures import Failures, usage_errors
from alignbench.plugin.github import GitHub, on_github
from alignbench.plugin.options import read_options
from alignbench.plugin.record import Recorder
from alignbench.plugin.selection import (
    AXES,
    TIMED,
    experiment_of,
    is_replaced,
    models_of,
    needed_by_items,
    parameters_of,
    part_of,
    uses_of,
)
from alignbench.plugin.study import StudyRun, asked_for, name_in, study_encoders
from alignbench.plugin.workers import worker_input
from alignbench.session.bench import SessionBench
from alignbench.session.environment import share_out_gpus
from alignbench.session.runfolder import RunFolder
from alignbench.session.selection import JOIN
from alignbench.session.session import Session
from alignbench.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from alignbench.datasets import Dataset
    from alignbench.encoders import Encoder
    from alignbench.llms import LLM
    from alignbench.types import Pair
    from alignbench.weights.custom import Custom

SESSION = pytest.StashKey[Session]()
FOLDER = pytest.StashKey[RunFolder]()
AGAINST = pytest.StashKey[Against | None]()
# The entry point adds the options; this does so if entry points are switched off.
pytest_plugins = ["alignbench.plugin"]


def pytest_configure(config: pytest.Config) -> None:
    """Check every name and option before anything is collected, and register the parts of the plugin."""
    with usage_errors():
        for experiment in experiments():
            config.addinivalue_line("markers", f"{experiment.name}: {experiment.question}")
        session = Session(read_options(config))
    config.stash[SESSION] = session
    output_dir = config.invocation_params.dir / session.options.output_dir
    bridge = timing.start(config, session, output_dir.absolute())
    config.pluginmanager.register(timing, "alignbench-timing")
    failures = Failures(session)
    config.pluginmanager.register(failures, "alignbench-failures")
    if (worker := worker_input(config)) is not None:
        config.stash[FOLDER] = RunFolder(Path(worker["alignbench_run"]))
        share_out_gpus(worker["workerid"], session.options.device)
        return
    with usage_errors():
        against = Against.from_options(session.options, config.invocation_params.dir)
        shared = shared_folder(session.options.against, config.invocation_params.dir)
    folder = RunFolder.named(output_dir, session.options.run_name or _run_name(config))
    config.stash[FOLDER], config.stash[AGAINST] = folder, against
    collector = Collector(config, session, folder, failures, bridge, against, shared)
    config.pluginmanager.register(collector, "alignbench-collector")
    if session.options.annotations and on_github():
        config.pluginmanager.register(GitHub(config, collector, failures, against), "alignbench-github")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Claim the run's folder before workers are told of it, and before anything is collected or embedded."""
    config = session.config
    if config.option.collectonly or worker_input(config) is not None:
        return
    folder, against = config.stash[FOLDER], config.stash[AGAINST]
    try:
        folder.claim()
    except UnwritableError as error:
        raise pytest.UsageError(
            f"the report folder {clean(str(error))}; name another with --align-output-dir"
        ) from error
    try:
        if against is not None:
            against.try_writing()
    except UnwritableError as error:
        raise pytest.UsageError(f"--align-update: {clean(str(error))}; name another file") from error


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the run's folder if nothing was written to it."""
    if (folder := config.stash.get(FOLDER, None)) is not None:
        folder.leave()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Tell an xdist worker the run's folder."""
    config, workerinput = node.config, node.workerinput  # type: ignore[attr-defined]
    workerinput["alignbench_run"] = str(config.stash[FOLDER].path)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect parts that the run's options leave out, and long experiments that nothing asks for."""
    option, options = config.option, config.stash[SESSION].options
    long = [experiment.name for experiment in experiments() if experiment.long]
    unasked = [name for name in long if not asked_for(name, option.markexpr, option.keyword, config.args)]

    def left_out(item: pytest.Item) -> bool:
        part, others = part_of(item), _needing(item)
        long = any(name not in others and item.get_closest_marker(name) for name in unasked)
        return long or (part is not None and not part.when(options))

    config.hook.pytest_deselected(items=[item for item in items if left_out(item)])
    items[:] = [item for item in items if not left_out(item)]


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give a test the markers of other experiments that need its score."""
    for name in _needing(item):
        item.add_marker(name)


def _needing(item: pytest.Item) -> set[str]:
    """Return the other experiments that need the score of a test."""
    of_pairs = "pair" in getattr(item, "fixturenames", ())
    metric = parameters_of(item).get("metric") if of_pairs else None
    return set(needing(experiment_of(item), metric))


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize a test over the models that it asks for, in the given order, and over its part's sweep."""
    session = metafunc.config.stash[SESSION]
    part = part_of(metafunc.definition)
    options = session.options.with_defaults(defaults_of(experiment_of(metafunc.definition)))
    fixed, optional = ({}, {}) if part is None else part.values(options)
    for name, values in fixed.items():
        if not is_replaced(metafunc.definition, name):
            metafunc.parametrize(name, values)
    selected: dict[str, Sequence[object]] = {
        "encoder": list(session.encoders),
        "llm": list(session.paired_llms),
        "vision_pair": _couples(session.encoders),
        "text_pair": _couples(session.llms),
        "compared_llm": list(session.llms),
    }
    for axis in AXES:
        if axis in metafunc.fixturenames and not is_replaced(metafunc.definition, axis):
            metafunc.parametrize(axis, selected[axis] or [_too_few(axis)], indirect=True, scope="session")
    for name, values in optional.items():
        if not is_replaced(metafunc.definition, name):
            metafunc.parametrize(name, values)
    if "study_encoder" in metafunc.fixturenames and not is_replaced(metafunc.definition, "study_encoder"):
        specs = study_encoders(session.options)
        metafunc.parametrize("study_encoder", specs, ids=[name_in(spec) for spec in specs])


def pytest_collection_finish(session: pytest.Session) -> None:
    """Tell the session which patches and layers are needed, so that one load of the weights is enough."""
    selected = session.config.stash[SESSION]
    needed = needed_by_items(session.items, tuple(selected.encoders), tuple(selected.llms))
    selected.patched = frozenset(needed.patches)
    selected.layered = any("layers" in uses_of(item) for item in session.items)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs texts that the data lack, and timings of arrays, which have neither model nor image."""
    session = item.config.stash[SESSION]
    if item.get_closest_marker("speed") and (why := _nothing_to_time(item, session)):
        pytest.skip(why)
    if lacking := session.lacks(models_of(item)):
        pytest.skip(lacking)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> None:
    """Report the loads of weights with the test that needed them."""
    loads = item.config.stash[SESSION].take_loads()
    item.user_properties += [
        ("alignbench-load", {"model": model, "seconds": seconds, "purpose": purpose})
        for model, seconds, purpose in loads
    ]


@pytest.fixture(scope="session")
def alignbench_session(pytestconfig: pytest.Config) -> Session:
    """The session of the run, with its models, data and embeddings."""
    return pytestconfig.stash[SESSION]


@pytest.fixture(scope="session")
def dataset(alignbench_session: Session) -> Dataset:
    """The samples of the run."""
    return alignbench_session.dataset


@pytest.fixture(scope="session")
def encoder(request: pytest.FixtureRequest, alignbench_session: Session) -> Encoder | Custom:
    """Each selected encoder in turn: a handle that loads its weights when it has to embed."""
    return alignbench_session.encoders[request.param]


@pytest.fixture(scope="session")
def llm(request: pytest.FixtureRequest, alignbench_session: Session) -> LLM | Custom:
    """Each selected LLM in turn."""
    return alignbench_session.llms[request.param]


@pytest.fixture(scope="session")
def pair(encoder: Encoder | Custom, llm: LLM | Custom, alignbench_session: Session) -> Pair:
    """The embeddings of each selected encoder and LLM over the same samples."""
    return alignbench_session.pair(alignbench_session.vision(encoder), alignbench_session.text(llm))


@pytest.fixture(scope="session")
def compared_llm(request: pytest.FixtureRequest, alignbench_session: Session) -> LLM | Custom:
    """Each LLM that is compared with others in turn; if the user named none, these are more than `llm`."""
    return alignbench_session.llms[request.param]


@pytest.fixture(scope="session")
def compared_pair(encoder: Encoder | Custom, compared_llm: LLM | Custom, alignbench_session: Session) -> Pair:
    """The embeddings of each selected encoder and each compared LLM over the same samples."""
    return alignbench_session.pair(alignbench_session.vision(encoder), alignbench_session.text(compared_llm))


@pytest.fixture(scope="session")
def study(alignbench_session: Session) -> StudyRun:
    """The validity study: its encoders, LLMs and drawings, and its cells on the disk."""
    return StudyRun.of(alignbench_session.options)


@pytest.fixture(scope="session")
def vision_pair(request: pytest.FixtureRequest, alignbench_session: Session) -> Pair:
    """Each pair of selected encoders over the same images."""
    return alignbench_session.pair(*request.param.split(JOIN))


@pytest.fixture(scope="session")
def text_pair(request: pytest.FixtureRequest, alignbench_session: Session) -> Pair:
    """Each pair of compared LLMs over the same texts."""
    return alignbench_session.pair(*request.param.split(JOIN))


@pytest.fixture(scope="session")
def vision_side(encoder: Encoder | Custom, alignbench_session: Session) -> Pair:
    """Each selected encoder's embeddings as a pair with themselves, for metrics of one side."""
    vectors = alignbench_session.vision(encoder)
    return alignbench_session.pair(vectors, vectors)


@pytest.fixture(scope="session")
def text_side(llm: LLM | Custom, alignbench_session: Session) -> Pair:
    """Each selected LLM's embeddings, as a pair with themselves."""
    vectors = alignbench_session.text(llm)
    return alignbench_session.pair(vectors, vectors)


@pytest.fixture(scope="session")
def selection(alignbench_session: Session) -> Session:
    """The run's session, for a test that needs all selected models."""
    return alignbench_session


@pytest.fixture(scope="session")
def alignbench_dims(
    request: pytest.FixtureRequest, alignbench_session: Session
) -> Callable[[], tuple[int, ...]]:
    """A function that returns the widths of all models that the collected tests use."""

    def dims() -> tuple[int, ...]:
        session = alignbench_session
        needed = needed_by_items(request.session.items, tuple(session.encoders), tuple(session.llms))
        return session.dims(needed)

    return cache(dims)


@pytest.fixture
def record(
    request: pytest.FixtureRequest,
    alignbench_session: Session,
    alignbench_dims: Callable[[], tuple[int, ...]],
) -> Recorder:
    """Computes a score with null and interval, and adds it to the report."""
    item = cast("pytest.Item", request.node)
    bench = SessionBench(alignbench_session, experiment_of(item), alignbench_dims)
    return Recorder(item, item.config.stash[FOLDER], bench)


@pytest.fixture
def part(request: pytest.FixtureRequest, record: Recorder) -> Cell:
    """Computes the cells of the part of an experiment that the test belongs to, and records the scores."""
    of_test = part_of(request.node)
    assert of_test is not None
    return Cell(of_test, record)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Free a timed model unless the next test times models, and an LLM with its head at the file's end."""
    session = item.config.stash[SESSION]
    if not set(TIMED) & set(getattr(nextitem, "fixturenames", ())):
        session.release()
    if nextitem is None or nextitem.path != item.path:
        session.release_head()


def _nothing_to_time(item: pytest.Item, session: Session) -> str | None:
    models = {**session.encoders, **session.llms}
    for axis in ("encoder", "llm", "compared_llm"):
        model = models.get(str(parameters_of(item).get(axis)))
        if model is not None and not runs(model):
            return f"{model.info.label} is an array that was computed elsewhere: there is no model to time"
    if session.rows and "dataset" in getattr(item, "fixturenames", ()):
        return "the samples are rows of arrays: there are no images"
    return None


def _couples(names: Iterable[str]) -> list[str]:
    return [JOIN.join(couple) for couple in itertools.combinations(names, 2)]


def _too_few(axis: str) -> object:
    option = "--encoders" if axis == "vision_pair" else "--llms"
    reason = f"compares two models: name two with {option}"
    return pytest.param("needs-two", marks=pytest.mark.skip(reason=reason))


def _run_name(config: pytest.Config) -> str:
    words = "".join(c if c.isalnum() else " " for c in f"{config.option.keyword} {config.option.markexpr}")
    return "-".join(words.split())[:40] or "benchmarks"
