"""Running third-party code on untrusted files: whatever it raises becomes one line."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

from alignbench.errors import AlignbenchError, ModelError
from alignbench.weights.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

P = ParamSpec("P")
R = TypeVar("R")


class HasName(Protocol):
    """An object with a name for errors."""

    @property
    def name(self) -> str:
        """The name."""
        ...


N = TypeVar("N", bound=HasName)


@contextlib.contextmanager
def guarded(where: str, problem: str, way_out: str = "") -> Iterator[None]:
    """Turn whatever third-party code in the body raises into one line: place, problem, cause, remedy.

    Libraries raise whatever a malformed file makes them raise: no list of exceptions is ever complete. Our
    own errors pass, and so do KeyboardInterrupt and anything else that ends a program. The chain of causes
    still shows if memory ran out.

    Args:
        where: the file, repository or model.
        problem: what failed.
        way_out: what the user can do.

    Raises:
        ModelError: the body failed.
    """
    try:
        yield
    except AlignbenchError:
        raise
    except BaseException as error:
        # A panic of the Rust code in tokenizers and safetensors is not an Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        advice = f"; {way_out}" if way_out else ""
        raise ModelError(f"{where}: {problem} ({one_line(error)}){advice}") from error


def guards(
    problem: str, way_out: str = ""
) -> Callable[[Callable[Concatenate[N, P], R]], Callable[Concatenate[N, P], R]]:
    """Return a decorator that runs a method of an object with a name as `guarded` runs its body.

    Args:
        problem: what failed.
        way_out: what the user can do.
    """

    def decorate(method: Callable[Concatenate[N, P], R]) -> Callable[Concatenate[N, P], R]:
        @functools.wraps(method)
        def run(self: N, /, *args: P.args, **kwargs: P.kwargs) -> R:
            with guarded(self.name, problem, way_out):
                return method(self, *args, **kwargs)

        return run

    return decorate


def wants_numbers(error: BaseException | None) -> bool:
    """Whether an error comes from tensors that have a shape but no numbers."""
    while error is not None:
        if isinstance(error, NotImplementedError | RuntimeError) and "meta tensor" in str(error):
            return True
        error = error.__cause__
    return False
