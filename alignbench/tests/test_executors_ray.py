"""Ray's workers do what this process would, and survive the death of one of them."""

from __future__ import annotations

import sys
import threading
import warnings
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench import encoders, llms
from alignbench.datasets import load_mixed
from alignbench.embed import Embedder, EmbeddingStore
from alignbench.errors import AlignbenchWarning, ConfigError, DataError, WorkerLostError
from alignbench.executors import Piece
from alignbench.executors.on_ray import RayExecutor, connected
from alignbench.session.session import Session
from alignbench.tests.ray_works import Noted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PIECES = [Piece(f"shard {i + 1}", i) for i in range(6)]


@pytest.fixture(scope="module")
def executor() -> Iterator[RayExecutor]:
    """Two workers of a cluster on this machine."""
    ray = pytest.importorskip("ray", reason="Ray is not installed; it is the extra `ray`")
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_worker_niceness", "0")
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    patch.delenv("RAY_ADDRESS", raising=False)
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    ray.init(
        num_cpus=2,
        num_gpus=0,
        include_dashboard=False,
        object_store_memory=200 * 2**20,
        log_to_driver=False,
        logging_level="error",
    )
    yield RayExecutor()
    ray.shutdown()
    torch.set_num_threads(threads)
    patch.undo()


@pytest.mark.slow
def test_workers_do_every_piece_once(executor: RayExecutor, tmp_path: Path) -> None:
    work = Noted(tmp_path)
    assert dict(executor.each(work, PIECES)) == {i: i**2 for i in range(6)}
    assert work.done() == list(range(6))


@pytest.mark.slow
def test_a_killed_workers_shard_is_done_by_another_and_the_run_says_so(
    executor: RayExecutor, tmp_path: Path
) -> None:
    work = Noted(tmp_path, fatal=2)
    with pytest.warns(
        AlignbenchWarning, match=r"^squares: a worker was lost with shard 3 \(process \d+ on "
    ) as said:
        results = dict(executor.each(work, PIECES))
    assert results == {i: i**2 for i in range(6)}
    assert work.done() == list(range(6))
    assert len(said) == 1
    assert "\n" not in str(said[0].message)


@pytest.mark.slow
def test_a_shard_that_kills_two_workers_is_an_error(executor: RayExecutor, tmp_path: Path) -> None:
    with (
        pytest.warns(AlignbenchWarning, match="lost with shard 3"),
        pytest.raises(WorkerLostError, match=r"^squares: shard 3 was lost twice"),
    ):
        dict(executor.each(Noted(tmp_path, fatal=2, deaths=9), PIECES))


@pytest.mark.slow
def test_an_error_of_the_work_is_raised_as_it_was(executor: RayExecutor, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^4 can't be squared$"):
        dict(executor.each(Noted(tmp_path, refused=4), PIECES))
    assert dict(executor.each(Noted(tmp_path), PIECES[:1])) == {0: 0}


@pytest.mark.slow
def test_work_that_can_not_be_sent_is_refused(executor: RayExecutor, tmp_path: Path) -> None:
    work: Any = Noted(tmp_path)
    object.__setattr__(work, "lock", threading.Lock())
    with pytest.raises(ConfigError, match=r"^squares: it can't be sent to other processes .* local$"):
        dict(executor.each(work, PIECES))


@pytest.mark.slow
def test_models_on_workers_give_the_bits_of_this_process(executor: RayExecutor, tmp_path: Path) -> None:
    data = load_mixed(8)

    def vectors(**fields: Any) -> list[Any]:
        at = Embedder(EmbeddingStore(tmp_path / str(len(fields))), shard_rows=7, **fields)
        x = at.images(encoders.resolve("mini-clip"), data, beside=["patches"]).values
        y = at.texts(llms.resolve("mini-llama"), data).values
        return [x, y, at.patches(encoders.resolve("mini-clip"), data).values]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pairs = zip(vectors(), vectors(elsewhere=executor), strict=True)
    assert all(np.array_equal(here, there) for here, there in pairs)


def test_without_ray_its_option_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r'^executor: .* need ray: pip install "alignbench\[ray\]"$'):
        Session(encoders="mini-clip", llms="mini-llama", executor="ray")
    with pytest.raises(ConfigError, match=r"^workers on a cluster need ray"):
        connected()


def test_a_numbered_gpu_is_refused_because_ray_assigns_them(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = ModuleType("ray")
    ray.__spec__ = ModuleSpec("ray", None)
    monkeypatch.setitem(sys.modules, "ray", ray)
    with pytest.raises(ConfigError, match=r"^device: Ray gives each worker a GPU of its own"):
        Session(encoders="mini-clip", llms="mini-llama", executor="ray", device="cuda:1")


def test_nothing_imports_ray_unless_it_is_asked_for() -> None:
    session = Session(encoders="mini-clip", llms="mini-llama", data="synthetic", n_samples=4)
    assert session.executor is None
    assert session.embedder.elsewhere is None
