"""The executor on Ray (extra `ray`): a worker for each GPU, or for each share of the processor cores."""

from __future__ import annotations

import os
import socket
import warnings
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from alignbench.cores import available_cores
from alignbench.errors import AlignbenchWarning, ConfigError
from alignbench.executors.sharing import Finished, Lost, Ready, shared_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from alignbench.executors.base import Piece, Work

P = TypeVar("P")
R = TypeVar("R")

ADDRESS = "RAY_ADDRESS"
INSTALL = 'workers on a cluster need ray: pip install "alignbench[ray]"'
# Vectors go into the store of embeddings, not through Ray: it carries pieces of data, and moments.
_OBJECT_STORE = 200 * 2**20


@dataclass(frozen=True, slots=True)
class _Done(Generic[R]):
    """A piece's result, and what a worker has warned of meanwhile."""

    result: R
    said: tuple[str, ...]


class _Worker:
    """An actor: holds what its work needs, such as a model.

    Args:
        paths: where this process imports from.
        work: a reference to the work, in a list, because Ray replaces a bare one by what it refers to.
    """

    def __init__(self, paths: Sequence[str], work: Sequence[Any]) -> None:
        import sys

        sys.path.extend(path for path in paths if path not in sys.path)
        self._work = work
        self._stack = ExitStack()
        self._do: Callable[[Any], Any] | None = None

    def where(self) -> str:
        return f"process {os.getpid()} on {socket.gethostname()}"

    def do(self, content: Any) -> _Done[Any]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            if self._do is None:
                self._do = self._stack.enter_context(_ray().get(self._work[0]).opened())
            result = self._do(content)
        said = [str(warning.message) for warning in caught if issubclass(warning.category, AlignbenchWarning)]
        return _Done(result, tuple(said))


class RayExecutor:
    """Does work on a Ray cluster: the one at `RAY_ADDRESS`, or one on this machine for this process.

    Args:
        gpu: whether each worker gets a GPU, if the cluster has any. Otherwise each gets as many cores as this
            process has threads, because the last digits of a vector depend on the number of threads.
    """

    def __init__(self, *, gpu: bool = True) -> None:
        self._gpu = gpu

    def each(self, work: Work[P, R], pieces: Sequence[Piece[P]]) -> Iterator[tuple[int, R]]:
        """Yield (place, result) of every piece, in the order in which they are finished.

        Raises:
            ConfigError: Ray is not installed, its cluster can't be reached, or no node has enough cores.
            WorkerLostError: a piece was lost with its worker, twice.
            AlignbenchError: whatever the work raises.
        """
        from torch import get_num_threads

        pool: _RayPool[P, R] = _RayPool(connected(), work, get_num_threads(), gpu=self._gpu)
        try:
            yield from shared_out(pool, pieces, work.name)
        finally:
            pool.end()


def connected() -> Any:
    """Return Ray, connected to its cluster.

    Raises:
        ConfigError: Ray is not installed, or its cluster can't be reached.
    """
    ray = _ray()
    if ray.is_initialized():
        return ray
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray's default is 15, with which a worker starves beside other work.
    os.environ.setdefault("RAY_worker_niceness", "0")
    address = os.environ.get(ADDRESS)
    own = {
        "address": "local",  # not some cluster that happens to run on this machine
        "num_cpus": available_cores(),
        "include_dashboard": False,
        "object_store_memory": _OBJECT_STORE,
    }
    try:
        ray.init(log_to_driver=False, logging_level="error", **({} if address else own))
    except (OSError, RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        where = f"the Ray cluster at {address} ({ADDRESS}) can't be reached" if address else "Ray can't start"
        raise ConfigError(f"{where}: {first}; give --align-executor local to work without it") from error
    return ray


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ConfigError(INSTALL) from error
    return ray


class _RayPool(Generic[P, R]):
    """The workers of one work. They end with it, so that another process of the same run gets its turn."""

    def __init__(self, ray: Any, work: Work[P, R], threads: int, *, gpu: bool) -> None:
        self._ray = ray
        self._gpu = gpu and ray.cluster_resources().get("GPU", 0) >= 1
        self._threads = threads
        if not self.size:
            most = max((int(node.get("CPU", 0)) for node in self._nodes()), default=0)
            raise ConfigError(
                f"Ray: a worker needs {threads} cores, like this process, and the largest node has {most}: "
                "set OMP_NUM_THREADS to at most that"
            )
        try:
            self._work = [ray.put(work)]
        except TypeError as error:
            raise ConfigError(
                f"{work.name}: it can't be sent to other processes ({str(error).splitlines()[0]}); give "
                "--align-executor local"
            ) from error
        self._numbers = count()
        self._hired: dict[int, Any] = {}
        self._starting: dict[Any, int] = {}
        self._working: dict[Any, int] = {}
        self._where: dict[int, str] = {}

    @property
    def size(self) -> int:
        """How many workers the nodes that are alive have room for."""
        if self._gpu:
            return int(sum(node.get("GPU", 0) for node in self._nodes()))
        return int(sum(node.get("CPU", 0) // self._threads for node in self._nodes()))

    def _nodes(self) -> list[dict[str, float]]:
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def hire(self) -> int:
        """Begin to start an actor."""
        import sys

        worker = next(self._numbers)
        needs: dict[str, Any] = {"num_gpus": 1, "num_cpus": 1} if self._gpu else {"num_cpus": self._threads}
        actor_class = self._ray.remote(_Worker).options(**needs)
        actor = actor_class.remote([path for path in sys.path if path], self._work)
        self._hired[worker] = actor
        self._starting[actor.where.remote()] = worker
        return worker

    def give(self, worker: int, piece: Piece[P]) -> None:
        """Give a worker a piece."""
        self._working[self._hired[worker].do.remote(piece.content)] = worker

    def next(self) -> Ready | Finished[R] | Lost:
        """Wait until a worker is ready, has finished, or is lost."""
        raised = self._ray.exceptions
        lost = (
            raised.RayActorError,
            raised.WorkerCrashedError,
            raised.OutOfMemoryError,
            raised.ObjectLostError,
        )
        (reference,), _ = self._ray.wait([*self._working, *self._starting], num_returns=1)
        starts = reference in self._starting
        worker = (self._starting if starts else self._working).pop(reference)
        try:
            value = self._ray.get(reference)
        except lost as error:
            # Whatever is left of it must not go on with a piece that another worker gets.
            self._ray.kill(self._hired.pop(worker), no_restart=True)
            return Lost(worker, f"{self._where.get(worker, 'a worker that was starting')}: {_reason(error)}")
        except raised.RayTaskError as error:
            raise (error.cause or error) from error
        if starts:
            self._where[worker] = value
            return Ready(worker)
        for message in value.said:
            warnings.warn(message, AlignbenchWarning, stacklevel=2)
        return Finished(worker, value.result)

    def end(self) -> None:
        """Stop all workers, whatever they do."""
        for actor in self._hired.values():
            self._ray.kill(actor, no_restart=True)
        self._hired.clear()


def _reason(error: Exception) -> str:
    """Return why Ray lost a worker, without its advice."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = next((line for line in lines if line.startswith("The actor is dead because")), lines[0])
    return told.split(". ")[0].rstrip(".")
