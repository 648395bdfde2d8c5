"""A failing disk: copied into a run as `sitecustomize.py`, it works in every Python process of the run.

An audit hook sees every opening for writing, every new folder and every renaming, and raises what a full or a
read-only disk raises. `ALIGNBENCH_FAULT` is a JSON object with `root`, the folder that is watched, and either
`record`, a file that gets each written place, or `place`, the pattern of the places where writing fails, with
`errno`.
"""

from __future__ import annotations

import json
import os
import re
import sys

VARIABLE = "ALIGNBENCH_FAULT"
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
# What differs between runs (process numbers, random names, dates, digests) or between figures.
_CHANGING = re.compile(r"(?<=/)[\w~-]+(?=\.(?:png|svg|npz)$)|(?<=embeddings/)[0-9a-f]{2}|[0-9a-f]{6,}|\d+")


def pattern(path: str, root: str) -> str:
    """Return the place below `root` without what differs between runs."""
    return _CHANGING.sub("#", os.path.relpath(path, root))


def written(event: str, args: tuple[object, ...]) -> str | None:
    """Return the path that an audit event is about to write, if it writes one."""
    if event == "open":
        path, mode, flags = args[0], args[1], args[2]
        writes = isinstance(mode, str) and any(letter in mode for letter in "wax+")
        writes = writes or (isinstance(flags, int) and bool(flags & _WRITING))
    elif event in {"os.mkdir", "os.rename", "os.link", "os.symlink"}:
        path, writes = args[0 if event == "os.mkdir" else 1], True
    else:
        return None
    if not writes or isinstance(path, int):
        return None
    try:
        return os.path.abspath(os.fsdecode(path))  # type: ignore[arg-type]  # noqa: PTH100
    except (TypeError, ValueError):
        return None


def install() -> None:
    """Watch this process as `ALIGNBENCH_FAULT` says."""
    fault = json.loads(os.environ[VARIABLE])
    root, record, place = fault["root"], fault.get("record"), fault.get("place")

    def hook(event: str, args: tuple[object, ...]) -> None:
        path = written(event, args)
        if path is None or not path.startswith(root + os.sep) or path == record:
            return
        at = pattern(path, root)
        if record is not None:
            with open(record, "a", encoding="utf-8") as file:  # noqa: PTH123 - before any import of ours
                file.write(at + "\n")
        elif at == place:
            raise OSError(fault["errno"], os.strerror(fault["errno"]), path)

    sys.addaudithook(hook)


if VARIABLE in os.environ and __name__ == "sitecustomize":
    install()
