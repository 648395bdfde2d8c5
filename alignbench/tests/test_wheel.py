"""The wheel: what is in it, and what an installed package says of the parts that only a clone has."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from alignbench import __version__, clone
from alignbench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

CLONE = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked: built by the builder itself, in this environment, without a network."""
    pytest.importorskip("hatchling", reason="hatchling builds the wheel; it is in the extra `test`")
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=CLONE, check=True, capture_output=True)
    (archive,) = out.glob("*.whl")
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(out / "site")
    return out / "site"


def test_the_version_is_the_same_wherever_it_stands() -> None:
    project = tomllib.loads((CLONE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((CLONE / "CITATION.cff").read_text(encoding="utf-8"))
    assert project["version"] == citation["version"] == __version__


def files(root: Path) -> Iterator[str]:
    yield from (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


@pytest.mark.slow
def test_the_wheel_holds_the_product_and_no_workshop_and_no_tests(wheel: Path) -> None:
    inside = set(files(wheel / "alignbench"))
    left_out = {name for name in inside if name.startswith(("workshop/", "tests/"))}
    assert not left_out
    product = {
        path
        for path in files(CLONE / "alignbench")
        if not path.startswith(("workshop/", "tests/")) and "__pycache__" not in path
    }
    assert {name for name in inside if not name.startswith("_suite/")} == product
    assert "_suite/sample_data/models/mini-clip/model.safetensors" in inside
    assert "_suite/benchmarks/test_coral.py" in inside


@pytest.mark.slow
@pytest.mark.parametrize("program", ["alignbench.measure", "alignbench.zoo"])
def test_an_installed_package_says_that_it_takes_a_clone(wheel: Path, program: str, tmp_path: Path) -> None:
    start = f"sys.path.insert(0, {str(wheel)!r}); runpy.run_module({program!r}, None, '__main__')"
    done = subprocess.run(
        [sys.executable, "-P", "-B", "-c", f"import runpy, sys; {start}", "train", "mini-clip"],
        cwd=tmp_path,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"error: `python -m {program}` needs a clone of alignbench's repository")


def test_a_mistake_inside_the_workshop_is_not_taken_for_its_absence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "alignbench.workshop.zoo.loop", None)
    for name in ("command", "training", "contrastive"):
        monkeypatch.delitem(sys.modules, f"alignbench.workshop.zoo.{name}", raising=False)
    with pytest.raises(ModuleNotFoundError, match="loop"):
        clone.workshop("zoo.training", "a training")


def test_without_the_workshop_a_study_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("alignbench.workshop")]:
        monkeypatch.delitem(sys.modules, name)

    class Absent:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "alignbench.workshop":
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    with pytest.raises(ConfigError, match=r"^clip-a: its training, for -m study, needs a clone"):
        clone.workshop("zoo.lineage_training", "clip-a: its training, for -m study,")
