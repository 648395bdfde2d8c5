"""Ways to damage the files of a model, and what is said of a model that is damaged."""

from __future__ import annotations

import json
import os
import signal
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from alignbench.errors import AlignbenchError
from alignbench.tests import tiny_models as tiny
from alignbench.tests import tiny_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Damage = Callable[[Path], object]

DEEP = "[" * 100_000 + "]" * 100_000
_SECONDS = 60


class HangsError(BaseException):
    """No Exception: it must get past whoever turns exceptions into lines."""


@contextmanager
def soon() -> Iterator[None]:
    """End what waits or computes for ever; it is never slept for."""

    def stop(*_: object) -> None:
        raise HangsError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def config(**changes: Any) -> Damage:
    """Change entries of config.json."""
    return lambda folder: tiny.edit_config(folder, **changes)


def part(name: str, **changes: Any) -> Damage:
    """Change entries of a part of config.json."""

    def damage(folder: Path) -> None:
        whole = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        tiny.edit_config(folder, **{name: {**whole[name], **changes}})

    return damage


def edited(name: str, **changes: Any) -> Damage:
    """Change entries of a JSON file."""

    def damage(folder: Path) -> None:
        content = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps({**content, **changes}), encoding="utf-8")

    return damage


def written(name: str, content: str | bytes) -> Damage:
    """Put something else in a file's place."""
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(data)


def moved(name: str, instead: str, content: str) -> Damage:
    """Have another file in the place of one."""

    def damage(folder: Path) -> None:
        (folder / name).unlink()
        (folder / instead).write_text(content, encoding="utf-8")

    return damage


def fifo(name: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return damage


def linked(name: str, target: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(target)

    return damage


def listening(name: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        with socket.socket(socket.AF_UNIX) as made:
            here = os.open(".", os.O_RDONLY)
            try:
                os.chdir(folder)  # the address of a socket has at most 107 bytes
                made.bind(name)
            finally:
                os.fchdir(here)
                os.close(here)

    return damage


def header(table: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """Return a safetensors file with any header."""
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def tokens(change: Callable[[dict[str, Any]], object]) -> Damage:
    """Change tokenizer.json."""

    def damage(folder: Path) -> None:
        content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        change(content)
        (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")

    return damage


def more_words(folder: Path) -> None:
    """Give the tokenizer more words than there are vectors, the last of them one of the texts."""
    made = tiny_texts.tokenizer()
    made.add_tokens([*(f"<x{i}>" for i in range(150)), "line chart"])
    made.save_pretrained(folder)


WEIGHTS, CONFIG = "model.safetensors", "config.json"
TENSOR = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def message_of(resolve: Callable[[str], Any], folder: Path, items: Any) -> str:
    """Return what is said of a folder that can't be used."""

    def use() -> None:
        handle = resolve(str(folder))
        handle.load("cpu", "float32")
        handle.embed(items)
        if getattr(handle, "has_text", False):
            handle.text_embed(["a bar"])

    with soon(), pytest.raises(AlignbenchError) as caught:
        use()
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 700
    return message
