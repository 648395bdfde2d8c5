"""One input in a separate process, so that a hang, a crash or exhausted memory affects only that process."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import traceback
from typing import TYPE_CHECKING, Any

from alignbench.errors import AlignbenchError

if TYPE_CHECKING:
    from collections.abc import Callable

    from alignbench.workshop.measure.faults.tally import Outcome

MEMORY = 16 * 2**30  # the limit of address space in bytes


def outcome_of(attempt: Callable[[], object]) -> tuple[Outcome, str]:
    """Return the outcome of calling `attempt`, with the message or the place of the raw exception."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            attempt()
    except AlignbenchError as error:
        return "refused", str(error)
    except SystemExit as error:
        return ("refused" if error.code else "accepted"), str(error)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = " ".join(str(error).split())[:160]
        return (
            "traceback",
            f"{type(error).__name__}: {text} ({where.filename.rsplit('/', 1)[-1]}:{where.lineno})",
        )
    return "accepted", ""


def isolated(attempt: Callable[[], object], seconds: float) -> tuple[Outcome, str]:
    """Return the outcome of calling `attempt` in a forked process within a number of seconds."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(attempt, sender))
    process.start()
    sender.close()
    try:
        if not receiver.poll(seconds):
            process.kill()
            return "hang", f"no end after {seconds:.0f} s"
        try:
            outcome, message = receiver.recv()
        except EOFError:
            process.join()
            return "crash", f"the process ended with status {process.exitcode}"
        return outcome, message
    finally:
        process.join()
        receiver.close()


def _child(attempt: Callable[[], object], sender: Any) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    sender.send(outcome_of(attempt))
    sender.close()
    os._exit(0)
