"""The documentation site: its tutorial runs, and its pages of reference name what is registered."""

from __future__ import annotations

import importlib.util
import json
import re
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import pytest
import yaml

from alignbench.errors import AlignbenchError
from alignbench.experiments import experiments
from alignbench.findings import FLAGS
from alignbench.metrics import METRICS
from alignbench.options import OPTIONS
from alignbench.plots import FIGURES
from alignbench.workshop.sections import DOCS
from alignbench.workshop.site import CONFIG, TUTORIAL, main, write_pages
from alignbench.workshop.site.coverage import coverage, python_names
from alignbench.workshop.site.reference import reference_pages

if TYPE_CHECKING:
    from pathlib import Path


def code_of_the_tutorial() -> list[str]:
    cells = json.loads((DOCS / f"{TUTORIAL}.ipynb").read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.slow
def test_the_tutorial_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for code in code_of_the_tutorial():
        exec(code, names)
    said = capsys.readouterr().out
    assert "mini-dinov2 or mini-clip (too close to call)" in said
    assert "may be the best: ('mini-dinov2', 'mini-clip')" in said
    assert (tmp_path / "cka_comparison.png").is_file()
    plt.close("all")


def test_the_tutorial_keeps_no_output() -> None:
    cells = json.loads((DOCS / f"{TUTORIAL}.ipynb").read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


def test_the_reference_has_all_that_is_registered() -> None:
    pages = reference_pages()
    assert all(f"| `{name}` |" in pages["metrics"] for name in METRICS.names())
    assert all(f"| `{one.name}` |" in pages["experiments"] for one in experiments())
    assert all(f"`{option.flag}`" in pages["options"] for option in OPTIONS)
    assert all(f"`{name}`" in pages["flags"] for name in FLAGS)


@pytest.mark.slow
def test_every_public_name_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().out
    said = capsys.readouterr().out
    assert said.startswith("README: ")
    (described, total) = re.findall(r"describes (\d+) of (\d+) public names: 100\.0%", said)[0]
    assert int(described) == int(total) > 400


@pytest.mark.slow
def test_a_name_that_a_page_lacks_or_nobody_describes_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {f"reference/{name}.md": text for name, text in reference_pages().items()}
    pages["reference/metrics.md"] = pages["reference/metrics.md"].replace("`linear_cka`", "`linear`")
    found = coverage(pages)
    assert found["metrics"] == (len(METRICS.names()), ["linear_cka"])
    assert found["options"][1] == []
    monkeypatch.setattr(OPTIONS.get("seed"), "help", "")
    assert coverage(pages)["options"][1] == ["--align-seed"]


def test_python_names_are_those_of_the_package_and_of_the_pages() -> None:
    names = python_names()
    assert {"Session", "assert_aligned", "OPTIONS"} <= set(names["alignbench"])
    assert "resolve" in names["alignbench.encoders"]


def test_the_gallery_shows_a_runs_figures(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "eas_dashboard.png").write_bytes(b"a picture")
    write_pages(tmp_path / "pages", run)
    text = (tmp_path / "pages" / "gallery.md").read_text(encoding="utf-8")
    assert "](pictures/eas_dashboard.png)" in text
    assert text.count("![") == 1
    captions = [FIGURES.get(name).caption for name in FIGURES.names()]
    assert all(caption.read in text for caption in captions if caption is not None)
    assert (tmp_path / "pages" / "pictures" / "eas_dashboard.png").read_bytes() == b"a picture"


def test_what_makes_pages_readable_is_with_them(tmp_path: Path) -> None:
    write_pages(tmp_path / "pages", tmp_path)
    named = re.findall(
        r"^extra_(?:css|javascript): \[(.*)\]$", CONFIG.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert len(named) == 2
    assert all((tmp_path / "pages" / name).is_file() for name in named)


def test_a_run_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(AlignbenchError, match="there is no such folder"):
        main(["--to", str(tmp_path / "site"), "--run", str(tmp_path / "nowhere")])


def test_every_page_has_a_place_in_the_navigation() -> None:
    nav = CONFIG.read_text(encoding="utf-8").split("\nnav:\n")[1]
    listed: list[str] = []

    def walk(entry: object) -> None:
        if isinstance(entry, str):
            listed.append(entry)
        elif isinstance(entry, dict):
            for inner in entry.values():
                walk(inner)
        elif isinstance(entry, list):
            for inner in entry:
                walk(inner)

    walk(yaml.safe_load(nav))
    pages = {page.name for page in DOCS.glob("*.md")} | {f"{TUTORIAL}.md", "gallery.md"}
    assert set(listed) == pages | {f"reference/{name}.md" for name in reference_pages()}
    assert len(listed) == len(set(listed))


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="the extra `docs` is not installed")
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    assert main(["--to", str(tmp_path / "site")]) == 0
    assert (tmp_path / "site" / "reference" / "python.html").is_file()
