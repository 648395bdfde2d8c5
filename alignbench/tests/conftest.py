"""Settings of the project's own tests; nothing here governs a user's run."""

from __future__ import annotations

import gc
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from alignbench.cli import main as run_command
from alignbench.datasets import DATASETS
from alignbench.datasets.reading import READERS
from alignbench.embed import EmbeddingStore
from alignbench.encoders import ENCODERS
from alignbench.experiments import EXPERIMENTS
from alignbench.llms import LLMS
from alignbench.metrics import METRICS
from alignbench.tests import speed_projects, stores
from alignbench.tests.toys import CONFTEST, copy_benchmarks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from alignbench.embed import Shelf

HERE = Path(__file__).parent
# A dependency's next release may deprecate what works today: that is news, and no newcomer's red test.
WARNINGS = (
    "error",
    *(f"default::{kind}" for kind in ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning")),
)
SLOW = (
    "takes more than about .3 s, as runs of pytest, trainings and processes do; -m 'not slow' leaves it out"
)
LONG = {
    "long": "takes minutes; runs with -m long alone",
    "realweights": "needs a package that carries real weights; run with -m realweights",
}


def pytest_configure(config: pytest.Config) -> None:
    """Load pytester for the tests of the plugin, and name the markers of slow and long tests."""
    config.pluginmanager.import_plugin("pytester")
    for name, meaning in {"slow": SLOW, **LONG}.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses by marker
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Make warnings errors in our own tests, mark slow ones, and skip long ones that were not asked for."""
    for item in items:
        if HERE not in item.path.parents:
            continue
        item.add_marker(pytest.mark.filterwarnings(*WARNINGS), append=False)
        if "pytester" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
        for name, meaning in LONG.items():
            if item.get_closest_marker(name) and name not in config.option.markexpr:
                item.add_marker(pytest.mark.skip(reason=meaning))


def pytest_collection_finish() -> None:
    """Have the garbage collector pass over the 600,000 objects of the collection: they live until the end."""
    gc.freeze()


def pytest_unconfigure() -> None:
    """Let the interpreter free them: libraries bound by nanobind report what is left at exit as leaks."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _own_places(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests off the user's cache, data and reports, and off the log and summary of a workflow."""
    monkeypatch.setenv("ALIGNBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    for name in ("VLM_DATA_ROOT", "VLM_OUTPUT_DIR", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _own_names() -> Iterator[None]:
    """Keep what a test registers to that test: a command may import a conftest.py, and so may a run."""
    tables: tuple[Any, ...] = (ENCODERS, LLMS, METRICS.entries, DATASETS, READERS, EXPERIMENTS)
    before = [set(table.names()) for table in tables]
    yield
    for table, names in zip(tables, before, strict=True):
        for name in set(table.names()) - names:
            table.remove(name)


@pytest.fixture
def never_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the test fail if a number of a weight file is read."""
    # A module that is first imported meanwhile would keep what stands in for `safe_open`, and so would all
    # later tests.
    importlib.import_module("transformers.modeling_utils")
    monkeypatch.setattr("safetensors.safe_open", lambda *_, **__: pytest.fail("weights were read"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the folder of a tiny checkpoint of a family's real architecture, made once a module."""
    from alignbench.tests import tiny_models

    makers = {**tiny_models.ENCODERS, **tiny_models.LLMS}
    made: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in made:
            made[family] = makers[family](tmp_path_factory.mktemp(family))
        return made[family]

    return folder


@pytest.fixture(scope="module")
def vlms(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the folder of a tiny vision-language model of a family, made once a module."""
    from alignbench.tests import tiny_vlms

    made: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in made:
            made[family] = tiny_vlms.vlm(family, tmp_path_factory.mktemp("vlm") / family)
        return made[family]

    return folder


@pytest.fixture(scope="module")
def one_torch_thread() -> Iterator[None]:
    """Have torch compute with one thread: the tests' models are too small for more."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Give a test a cache that nothing has been put into."""
    monkeypatch.setenv("ALIGNBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A user's project with toy models, and no network."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("ALIGNBENCH_CACHE", str(pytester.path / ".cache"))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    # pytest-benchmark would take a run inside a worker of ours for a worker of its own, and time nothing.
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    pytester.makeconftest(CONFTEST)
    return pytester


@pytest.fixture
def speed(project: pytest.Pytester) -> pytest.Pytester:
    """A project whose encoder takes 30 ms a batch."""
    speed_projects.takes(project, 0.03)
    copy_benchmarks(project, "test_speed.py")
    return project


@pytest.fixture
def store(tmp_path: Path) -> EmbeddingStore:
    """An empty store of embeddings."""
    return EmbeddingStore(tmp_path / "cache")


@pytest.fixture(scope="session")
def vision_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder of a checkpoint of `tiny_vision`, which nobody may change."""
    from alignbench.tests import tiny_vision

    folders: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in folders:
            folders[family] = tiny_vision.MAKERS[family](tmp_path_factory.mktemp(family))
        return folders[family]

    return folder


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a command; returns its exit status and what it printed."""

    def run(*argv: str) -> tuple[int, str, str]:
        try:
            status = run_command(argv)
        except SystemExit as stop:
            status = int(stop.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """A shelf with eight vectors in two shards."""
    shelf = EmbeddingStore(tmp_path).shelf(stores.KEY)
    shelf.write(stores.items(4), stores.vectors(4))
    shelf.write(stores.items(4, 4), stores.vectors(4, 4))
    return shelf
