"""Real models on toys: said in plan, terminal, summary, report and page; of toys alone nothing is said."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.datasets import load_dataset
from alignbench.datasets.roots import PACKAGED, is_toy_data
from alignbench.findings import Findings
from alignbench.findings.toys import toy_warnings
from alignbench.paths import benchmarks
from alignbench.show import summary_markdown, terminal_table
from alignbench.tests.report_fakes import make_model, make_run, make_scores

if TYPE_CHECKING:
    from pathlib import Path

    from alignbench.types import ModelInfo

ENCODER_TOY = make_model("mini-clip")
LLM_TOY = make_model("mini-llama", "text")
CONTROL = make_model("random-vit")
REAL = replace(make_model("clip"), weights="pretrained")
REAL_LLM = replace(make_model("qwen", "text"), weights="pretrained")
MINE = "labels.jsonl and images in DIR"


@pytest.mark.parametrize(
    ("models", "origin", "said"),
    [
        ((ENCODER_TOY, LLM_TOY, CONTROL), PACKAGED, ()),
        ((REAL, CONTROL, REAL_LLM), MINE, ()),
        ((REAL, REAL_LLM), PACKAGED, ("--align-data PATH",)),
        ((REAL, LLM_TOY), MINE, ("clip is scored against mini-llama, a built-in toy LLM",)),
        ((REAL, ENCODER_TOY, REAL_LLM), MINE, ("qwen is scored with mini-clip, a built-in toy encoder",)),
        ((ENCODER_TOY, LLM_TOY, REAL_LLM), MINE, ("Name yours, such as --encoders clip,siglip.",)),
        ((REAL, REAL_LLM, LLM_TOY), MINE, ("Look at qwen instead.",)),
        ((REAL, LLM_TOY), PACKAGED, ("such as --llms qwen.", "--align-data PATH")),
        ((replace(REAL, weights="arrays"), LLM_TOY), MINE, ("a built-in toy LLM",)),
        ((replace(REAL, weights="custom"), LLM_TOY), MINE, ("a built-in toy LLM",)),
        (
            (make_model("mini-clip", stand_in_for="clip"), REAL_LLM),
            MINE,
            ("for clip), a built-in",),
        ),
        ((CONTROL, REAL_LLM), MINE, ()),
    ],
)
def test_each_way_to_rest_on_toys_is_a_sentence(
    models: tuple[ModelInfo, ...], origin: str, said: tuple[str, ...]
) -> None:
    found = toy_warnings(models, origin)
    assert len(found) == len(said)
    for sentence, part in zip(found, said, strict=True):
        assert part in sentence


def test_what_is_only_timed_or_looked_into_rests_on_no_toy() -> None:
    models = (REAL, LLM_TOY)
    timed = [replace(s, experiment="speed") for s in make_scores(("clip",), ("mini-llama",))]
    assert toy_warnings(models, PACKAGED, timed) == []
    assert len(toy_warnings(models, PACKAGED, make_scores(("clip",), ("mini-llama",)))) == 2


def test_the_web_page_begins_with_it() -> None:
    results = pytest.importorskip("alignbench.ui.results", reason="the extra `ui` is not installed")
    real = replace(REAL, name="<real>")
    findings = Findings.of(make_scores(("<real>",), ("mini-llama",)), make_run(models=(real, LLM_TOY)))
    text = results._answer(findings, "alignbench", [])
    said = (
        '<p class="ab-warning"><b>Warning:</b> &lt;real&gt; is scored against mini-llama, a built-in toy LLM'
    )
    assert text.startswith(f'<div class="ab-answer">{said}')


def test_many_models_are_named_in_part() -> None:
    models = [replace(REAL, name=f"e{i}") for i in range(7)]
    [sentence] = toy_warnings([*models, LLM_TOY, make_model("mini-qwen", "text")], MINE)
    assert sentence.startswith(
        "e0, e1, e2, e3 and 3 more are scored against mini-llama and mini-qwen, built-in toy LLMs"
    )


@pytest.mark.parametrize("name", ["sample_data", "synthetic", "synthetic_other", None])
def test_drawings_are_known_as_such(name: str | None) -> None:
    assert is_toy_data(load_dataset(name, n_per_type=1).origin)


def test_terminal_and_summary_begin_with_it() -> None:
    run = make_run(models=(REAL, LLM_TOY))
    run = replace(run, dataset={**run.dataset, "origin": PACKAGED})
    scores = make_scores(("clip",), ("mini-llama",))
    lines = terminal_table(Findings.of(scores, run), 80)
    assert lines[0].startswith("WARNING: clip is scored against mini-llama, a built-in toy LLM")
    assert sum(line.startswith("WARNING: ") for line in lines) == 2
    assert max(map(len, lines)) <= 80
    text = summary_markdown(Findings.of(scores, run))
    assert (
        text.index("**Warning:** clip is scored")
        < text.index("**Warning:** Real models")
        < text.index("**For ")
    )
    toys = make_run()
    assert "arning" not in terminal_table(Findings.of(make_scores(), toys), 80)[0]
    assert "**Warning" not in summary_markdown(Findings.of(make_scores(), toys.to_dict()))


@pytest.mark.slow
def test_a_run_says_it_before_and_after_and_in_its_files(tmp_path: Path) -> None:
    rows = len(load_dataset("sample_data"))
    np.save(tmp_path / "mine.npy", np.random.default_rng(0).standard_normal((rows, 8)))
    words = (
        "-m cka -k linear_cka --encoders npy:mine.npy --align-dataset sample_data --align-no-figures "
        "--align-permutations 19 --align-output-dir out -p no:cacheprovider"
    )
    call = [sys.executable, "-m", "pytest", str(benchmarks()), *words.split()]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    said = "scored against mini-llama, a built-in toy LLM"
    flat = " ".join(done.stdout.split())
    assert flat.count(said) == 2
    assert "warn mine is scored against" in flat
    assert "mini-llama: built-in toy model," in flat
    folder = tmp_path / "out" / "latest"
    for name in ("summary.md", "report.html"):
        assert said in (folder / name).read_text()
    [llm] = [
        m for m in json.loads((folder / "scores.json").read_text())["run"]["models"] if m["side"] == "text"
    ]
    assert llm["weights"] == "embedded"  # as the files have always said
