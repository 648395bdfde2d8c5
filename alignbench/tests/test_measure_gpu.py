"""The GPU measurement: the same code on a CPU with small models, its time limit, and what it needs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from alignbench.errors import ConfigError
from alignbench.workshop.measure import gpu
from alignbench.workshop.measure._allocated import peak_of
from alignbench.workshop.measure._gpu_lab import smallest_cosine
from alignbench.workshop.measure._gpu_models import SHAPES
from alignbench.workshop.measure._steps import Finding, Step, run_steps

if TYPE_CHECKING:
    from collections.abc import Iterator

CLONE = Path(__file__).resolve().parents[2]
# What a machine with a GPU was seen without.
ABSENT = ("open_clip", "umap", "jsonschema", "gguf", "gradio", "datasets", "bitsandbytes")
BLOCKED = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
from alignbench.workshop.measure import gpu
sys.exit(gpu.main(sys.argv[1:]))
"""


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def step(clock: Clock, name: str, takes: float, *rows: Finding, section: str = "s", **more: str) -> Step:
    def run() -> Iterator[Finding]:
        clock.now += takes
        yield from rows

    return Step(section, name, takes, run, **more)


def test_what_does_not_fit_is_named_and_shorter_steps_still_run(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    steps = [
        step(clock, "first", 6, Finding("a", "1")),
        step(clock, "long", 5, Finding("b", "2")),
        step(clock, "short", 3, Finding("c", "3"), section="t"),
        step(clock, "elsewhere", 0, section="t", why_not="it needs a GPU"),
    ]
    outcome = run_steps(steps, 10, clock)
    assert {name: [row.what for row in rows] for name, rows in outcome.findings.items()} == {
        "s": ["a"],
        "t": ["c"],
    }
    assert outcome.not_run == {"long": "takes about 5 s, and 4 s are left", "elsewhere": "it needs a GPU"}
    assert outcome.seconds == {"first": 6, "short": 3}
    said = capsys.readouterr().out
    assert "not run: long: takes about 5 s, and 4 s are left" in said
    assert "not run: elsewhere: it needs a GPU" in said
    assert json.loads(json.dumps(outcome.to_dict()))["failed"] is False


@pytest.mark.parametrize(
    ("met", "must", "failed"), [(False, True, True), (False, False, False), (True, True, False)]
)
def test_only_a_missed_aim_that_must_be_met_fails(met: bool, must: bool, failed: bool) -> None:
    clock = Clock()
    outcome = run_steps([step(clock, "x", 1, Finding("a", "1", "2", met, must))], 9, clock)
    assert outcome.failed is failed


def test_a_step_that_breaks_is_a_row_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()

    def breaks() -> Iterator[Finding]:
        yield Finding("before", "1")
        raise RuntimeError("two\nlines")

    outcome = run_steps([Step("s", "bad", 1, breaks), step(clock, "good", 1, Finding("c", "3"))], 9, clock)
    assert outcome.failed
    assert [row.what for row in outcome.findings["s"]] == ["before", "bad", "c"]
    assert "RuntimeError: two lines" in capsys.readouterr().out


def test_what_all_rows_share_does_not_count_as_agreement() -> None:
    rng = np.random.default_rng(0)
    a = (100 + rng.normal(size=(9, 20))).astype(np.float32)
    b = (100 + rng.normal(size=(9, 20))).astype(np.float32)
    assert smallest_cosine(a, 3 * a) == pytest.approx(1, abs=1e-6)
    assert smallest_cosine(a, b) < 0.7
    assert smallest_cosine(a, np.vstack([a[:8], b[8:]])) < 0.9


def test_memory_is_counted_while_it_is_held() -> None:
    def call() -> None:
        a = torch.ones(1000)
        b = a + 1  # both
        del a
        b.view(10, 100).add_(1)  # nothing new
        c = b + 1
        del b, c

    assert peak_of(call, "cpu") == 2 * 4000
    assert peak_of(lambda: None, "cpu") == 0


def test_models_have_published_shapes() -> None:
    parameters = {}
    for shape in SHAPES:
        with torch.device("meta"):
            import transformers

            config = getattr(transformers, shape.config)(**shape.sizes)
            parameters[shape.name] = getattr(transformers, shape.model)(config).num_parameters()
    assert {name: round(count / 1e8) for name, count in parameters.items()} == {
        "clip-vit-l-14": 3,
        "siglip-so400m": 4,
        "dinov2-l": 3,
        "qwen2.5-1.5b": 15,
        "qwen2.5-7b": 71,  # 7.6e9 with the head, which is not loaded
    }


def test_without_a_gpu_one_line_says_how_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="finds no CUDA GPU here; try the same code with --device cpu"):
        gpu.main([])


@pytest.mark.slow
@pytest.mark.skipif(not (CLONE / ".git").exists(), reason="needs git's files")
def test_what_travels_is_small_and_too_much_is_refused(tmp_path: Path) -> None:
    script = Path("alignbench") / "workshop" / "measure" / "gpu.sh"

    def run(folder: Path) -> subprocess.CompletedProcess[str]:
        command = ["bash", str(folder / script), "--help"]
        python = {**os.environ, "PYTHON": sys.executable}
        return subprocess.run(command, capture_output=True, text=True, env=python)

    done = run(CLONE)
    assert done.returncode == 0, done.stderr
    assert re.match(r"what travels: the tree \d+ MB, wheels \d+ MB, of 60 MB\n", done.stdout)
    copy = tmp_path / "copy"
    (copy / script).parent.mkdir(parents=True)
    shutil.copy(CLONE / script, copy / script)
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=a", "-c", "user.email=b", "commit", "-qm", "c"],
    ):
        subprocess.run(["git", "-C", str(copy), *command], check=True)
    (copy / ".whl").mkdir()
    with (copy / ".whl" / "large.whl").open("wb") as wheel:
        wheel.truncate(61_000_000)
    refused = run(copy)
    assert refused.returncode == 2
    assert "error: tree and wheels are larger than what may travel" in refused.stderr


@pytest.mark.slow
def test_the_whole_runs_on_a_cpu_without_packages_that_a_gpu_machine_lacks(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    options = ["--device", "cpu", "--small", "--seconds", "500", "--to", str(file)]
    # Other tests may keep the cores busy: only the aims of what is computed count.
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, *options],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(CLONE), "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(file.read_text())
    assert (found["options"]["device"], found["options"]["seconds"]) == ("cpu", 500)
    rows = [row for rows in found["findings"].values() for row in rows]
    assert sum(row["must"] for row in rows) == 24
    assert not [row for row in rows if row["must"] and not row["met"]]
    assert not [row for row in rows if "within" in row["aim"] and not row["met"]]
    assert {"4-bit weights", "torch.compile"} <= found["not_run"].keys()
    assert "not run: torch.compile: it needs a CUDA GPU" in done.stdout
