"""A pipe in the place of a file that is read is never waited for: whoever opened it would wait forever."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.cli import main
from alignbench.embed.cache import DamagedShardWarning, EmbeddingStore
from alignbench.errors import DataError
from alignbench.experiments.validity.study import read_cell
from alignbench.files import write_bytes
from alignbench.findings import read_run
from alignbench.llms import conversions
from alignbench.plots.inputs import read_artifacts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
PATIENCE = 60.0  # seconds; on the way to a failure only


def in_time(work: Callable[[], Any]) -> Any:
    """Return what `work` returns, or fail: a test that waits forever would say nothing."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert found, "it waits for the pipe"
    if isinstance(found[0], BaseException):
        raise found[0]
    return found[0]


def pipe(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("name", ["scores.json", "scores.jsonl"])
def test_a_runs_files(tmp_path: Path, name: str) -> None:
    pipe(tmp_path / name)
    with pytest.raises(DataError, match="not a regular file"):
        in_time(lambda: read_run(tmp_path))


def test_files_that_only_save_time_or_are_passed_over(tmp_path: Path) -> None:
    file = pipe(tmp_path / "a.json")
    assert in_time(lambda: read_cell(file)) is None
    pipe(tmp_path / "a.npz")
    complaints: list[str] = []
    in_time(lambda: read_artifacts(tmp_path, complaints.append))
    assert "not a regular file" in complaints[0]


def test_a_conversion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIGNBENCH_CACHE", str(tmp_path))
    folder = conversions.kept("key", "a.gguf", lambda made: write_bytes(made / "a", b"a"))
    pipe(folder / "a")
    [one] = in_time(conversions.held)
    assert in_time(one.damaged) == [folder / "a"]
    pipe(folder / "conversion.json")
    assert not in_time(conversions.held)[0].usable


def test_a_shard_of_the_cache(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shelf = EmbeddingStore(tmp_path).shelf({"source": "a"})
    items = ["00" * 32]
    shelf.write(items, np.ones((1, 3), dtype=np.float32))
    [shard] = shelf.folder.glob("*.safetensors")
    pipe(shard)
    assert in_time(lambda: main(["cache", "--cache-dir", str(tmp_path), "verify"])) != 0
    assert "not a regular file" in capsys.readouterr().out
    pipe(shelf.folder / "key.json")
    assert in_time(lambda: main(["cache", "--cache-dir", str(tmp_path), "size"])) == 0
    with pytest.warns(DamagedShardWarning, match="not a regular file"):
        found = in_time(lambda: EmbeddingStore(tmp_path).shelf({"source": "a"}).read(items))
    assert not found.there.any()
