"""The one place that writes: whole files or none, names that are nobody else's, and one line on failure."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from alignbench.errors import UnwritableError
from alignbench.files import (
    UnfitFileError,
    append_line,
    append_record,
    check_can_write,
    claim_folder,
    make_folder,
    read_records,
    try_writing,
    write_bytes,
)

if TYPE_CHECKING:
    from pathlib import Path


def refuse(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def fsync(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("alignbench.files.os.fsync", fsync)


def test_a_folder_is_claimed_once_however_many_want_it_at_the_same_time(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as threads:
        claimed = list(threads.map(lambda _: claim_folder(tmp_path / "runs" / "now"), range(64)))
    assert len(set(claimed)) == 64
    assert {path.name for path in claimed} == {"now", *(f"now-{i}" for i in range(2, 65))}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
def test_a_write_that_fails_is_one_line_and_leaves_what_was_there(
    tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bytes(tmp_path / "a.json", b"old")
    append_line(tmp_path / "log", b"first")
    with monkeypatch.context() as patch:
        refuse(patch, code)
        for write in (
            lambda: write_bytes(tmp_path / "a.json", b"new"),
            lambda: append_line(tmp_path / "log", b"second"),
            lambda: try_writing(tmp_path),
        ):
            with pytest.raises(UnwritableError, match=rf"can't be written: {os.strerror(code)}$"):
                write()
    assert (tmp_path / "a.json").read_bytes() == b"old"
    assert (tmp_path / "log").read_bytes() == b"first\n"
    append_line(tmp_path / "log", b"second")
    assert (tmp_path / "log").read_bytes() == b"first\nsecond\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "log"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="asks Linux for a full disk")  # noqa: PTH110
def test_the_systems_own_full_disk_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to("/dev/full")
    with pytest.raises(UnwritableError, match="log can't be written: No space left on device"):
        append_line(tmp_path / "log", b"a score")


def test_half_a_line_is_not_left_for_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"whole\nhal")
    append_line(tmp_path / "log", b"next")
    assert (tmp_path / "log").read_bytes() == b"whole\nnext\n"


@pytest.mark.parametrize("name", ["file", "file/below/that", "n" * 300])
def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    for make in (make_folder, claim_folder, try_writing):
        with pytest.raises(UnwritableError) as error:
            make(tmp_path / name / "run")
        assert "\n" not in str(error.value)
        assert "file where a folder" in str(error.value) or "too long" in str(error.value)


def test_what_can_be_written_is_known_before_and_nothing_stays_behind(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    check_can_write(tmp_path / "a" / "b" / "new.json")
    check_can_write(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    for below in ("file/new.json", "file/a/new.json"):
        with pytest.raises(UnwritableError, match="file can't be written: there is a file where a folder is"):
            check_can_write(tmp_path / below)


def test_records_of_many_writers_do_not_mix(tmp_path: Path) -> None:
    path, size = tmp_path / "log", 10_000
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda i: append_record(path, bytes([i]) * size), range(40)))
    content = read_records(path)
    written = [content[start : start + size] for start in range(0, len(content), size)]
    assert sorted(written) == [bytes([i]) * size for i in range(40)]


def test_only_records_in_regular_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert read_records(tmp_path / "empty") == b""
    with pytest.raises(FileNotFoundError):
        read_records(tmp_path / "nothing")
    with pytest.raises((UnfitFileError, PermissionError)):  # Windows opens no folder
        read_records(tmp_path)
    with pytest.raises(UnwritableError, match="can't be written"):
        append_record(tmp_path, b"x")
