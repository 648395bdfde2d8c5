"""The folder of a page: it goes with the page, and with the next start if the page was killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from alignbench.ui.folder import claimed_folder, sweep

HOLD = """
import sys
from pathlib import Path
from alignbench.ui.folder import claimed_folder
with claimed_folder(Path(sys.argv[1])) as folder:
    (folder / "upload.png").write_bytes(b"private")
    print(folder, flush=True)
    sys.stdin.read()
"""


def start(place: Path) -> tuple[subprocess.Popen[str], Path]:
    command = [sys.executable, "-c", HOLD, str(place)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def end(process: subprocess.Popen[str], how: int) -> None:
    process.send_signal(how)
    process.communicate()


def test_a_folder_goes_with_its_page(tmp_path: Path) -> None:
    with claimed_folder(tmp_path) as folder:
        (folder / "results").mkdir()
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == []


def test_the_next_start_removes_the_folder_of_a_killed_page_and_no_other(tmp_path: Path) -> None:
    killed, left = start(tmp_path)
    alive, used = start(tmp_path)
    try:
        end(killed, signal.SIGKILL)
        assert (left / "upload.png").exists()
        (tmp_path / "alignbench-ui-notes").mkdir()  # somebody's own: it has no lock
        with claimed_folder(tmp_path) as folder:
            assert not left.exists()
            assert {path.name for path in tmp_path.iterdir()} == {
                used.name,
                folder.name,
                "alignbench-ui-notes",
            }
        assert (used / "upload.png").exists()
    finally:
        end(alive, signal.SIGKILL)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    precious, place = tmp_path / "precious", tmp_path / "place"
    precious.mkdir()
    place.mkdir()
    (precious / ".lock").touch()
    (precious / "file").touch()
    (place / "alignbench-ui-x").symlink_to(precious, target_is_directory=True)
    (place / "alignbench-ui-y").mkdir()
    (place / "alignbench-ui-y" / ".lock").symlink_to(precious / ".lock")
    sweep(place)
    assert (precious / "file").exists()
    assert (place / "alignbench-ui-y").exists()
