"""Runs on `npy:` files: the same scores as the models that the vectors are of, and no model anywhere."""

from __future__ import annotations

import json
import shlex
import sys

import jsonschema
import numpy as np
import pytest

from alignbench.findings import SCHEMA, read_run
from alignbench.tests.data_files import charts_and_tables
from alignbench.tests.toys import RECORD, copy_benchmarks, run, scores
from alignbench.types import Score

pytestmark = pytest.mark.slow

N = 36
SELECTED = ("--encoders=npy:good.npy,noise=npy:noise.npy", "--llms=npy:texts.npy")
ALL = ("test_cka.py", "test_coral.py", "test_eas.py")
# The toys' own options draw; rows of arrays are all taken unless an option says otherwise.
QUIET = ("-p", "no:cacheprovider", "-p", "no:randomly", "--align-permutations=19", "--align-no-figures")


@pytest.fixture
def arrays(project: pytest.Pytester) -> pytest.Pytester:
    """A project with embeddings of two encoders and an LLM, and labels for their rows."""
    rng = np.random.default_rng(2)
    shared = rng.standard_normal((N, 5))
    for name, d, own in (("good", 12, 0.4), ("texts", 9, 0.4), ("noise", 8, 100.0)):
        values = shared @ rng.standard_normal((5, d)) + own * rng.standard_normal((N, d))
        np.save(project.path / f"{name}.npy", values.astype(np.float32))
    labels = "\n".join(["chart", "table", "page"][i % 3] for i in range(N))
    (project.path / "labels.txt").write_text(labels, encoding="utf-8")
    return project


def start(project: pytest.Pytester, *args: str) -> pytest.RunResult:
    given = {arg.partition("=")[0] for arg in args}
    return project.runpytest_subprocess(
        *QUIET, *(a for a in SELECTED if a.partition("=")[0] not in given), *args
    )


def errors(result: pytest.RunResult) -> list[str]:
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    return [line for line in result.errlines + result.outlines if line.startswith("ERROR: ")]


def test_the_suite_runs_on_arrays_alone(arrays: pytest.Pytester) -> None:
    copy_benchmarks(arrays, *ALL)
    result = start(arrays, "benchmarks", "--align-labels=labels.txt", "-rs")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "data   arrays@*: 36 samples in 36 groups (12 chart, 12 table, 12 page)",
            "*from the rows of npy:good.npy: no data was named; labels from labels.txt",
            "model  good: arrays, 12 dims, float32 from good.npy",
            "model  noise: arrays, 8 dims, float32 from noise.npy",
            "model  texts: arrays, 9 dims, float32 from texts.npy",
            "plan * tests; download nothing; about *",
            "LLM texts: ranked by calibrated_cka*",
            "1  good *",
            "2  noise *",
        ]
    )
    run_data, found = read_run(arrays.path / "reports" / "latest")
    assert run_data["loads"] == []
    assert {(m["name"], m["weights"], m["source"]) for m in run_data["models"]} == {
        ("good", "arrays", "npy:good.npy"),
        ("noise", "arrays", "npy:noise.npy"),
        ("texts", "arrays", "npy:texts.npy"),
    }
    assert str(arrays.path) not in json.dumps(run_data["models"])
    assert {score.experiment for score in found} == {"cka", "coral", "eas"}
    assert all(score.status == "ok" for score in found)
    summary = (arrays.path / "reports" / "latest" / "summary.md").read_text(encoding="utf-8")
    assert "all embeddings were computed elsewhere" in summary
    assert not list((arrays.path / ".cache").rglob("*.safetensors"))


def test_what_a_run_on_arrays_leaves_fits_the_schema(arrays: pytest.Pytester) -> None:
    arrays.makepyfile(test_it=RECORD)
    assert start(arrays, "--align-labels=labels.txt").ret == 0
    content = (arrays.path / "reports" / "latest" / "scores.json").read_text(encoding="utf-8")
    jsonschema.validate(json.loads(content), json.loads(SCHEMA.read_text(encoding="utf-8")))


def test_workers_score_arrays_as_one_process_does(arrays: pytest.Pytester) -> None:
    copy_benchmarks(arrays, *ALL)
    assert start(arrays, "benchmarks", "--align-labels=labels.txt").ret == 0
    serial = scores(arrays)
    assert start(arrays, "benchmarks", "--align-labels=labels.txt", "-n", "2").ret == 0
    again = scores(arrays)
    assert serial.keys() == again.keys()
    for key, score in serial.items():
        assert score["value"] == pytest.approx(again[key]["value"], abs=1e-12)
        assert (score["null"] or {}).get("p") == (again[key]["null"] or {}).get("p")


def test_a_function_call_gives_the_scores_of_the_run(arrays: pytest.Pytester) -> None:
    copy_benchmarks(arrays, *ALL)
    assert start(arrays, "benchmarks", "--align-labels=labels.txt", "--align-no-l2").ret == 0
    # In a process of its own: pytester forgets what is imported during a test, and no C library likes that.
    code = (
        "import json, alignbench; labels = open('labels.txt').read().split();"
        "vision = {name: name + '.npy' for name in ('good', 'noise')};"
        "found = alignbench.score_arrays(vision, 'texts.npy', labels, permutations=19);"
        "print(json.dumps(found.to_dict()))"
    )
    printed = arrays.run(sys.executable, "-c", code).stdout.str()
    called = {score.key[1:]: score for score in map(Score.from_dict, json.loads(printed)["scores"])}
    of_the_run = {key[1:]: score for key, score in scores(arrays).items() if key[4] == "" and key[2]}
    assert len(of_the_run) > 40
    for key, score in of_the_run.items():
        assert called[key].value == pytest.approx(score["value"], abs=1e-12), key
        assert called[key].dataset == score["dataset"]


def test_arrays_beside_a_model_take_its_data(project: pytest.Pytester) -> None:
    project.makepyfile(test_it=RECORD)
    rows = np.random.default_rng(0).standard_normal((90, 6))
    np.save(project.path / "all.npy", rows)
    np.save(project.path / "drawn.npy", rows[:30])
    result = run(project, "--encoders=toy-a,npy:all.npy,npy:drawn.npy", "-p", "no:randomly")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "data   sample_data@*: 30 samples*",
            "model  toy-a: custom, * to embed",
            "model  all: arrays, 6 dims, float64 from all.npy, 30 of its 90 rows",
            "model  drawn: arrays, 6 dims, float64 from drawn.npy",
        ]
    )


def test_rows_are_those_of_the_drawn_lines(project: pytest.Pytester) -> None:
    charts_and_tables(project.path / "data", 12)
    np.save(project.path / "lines.npy", np.arange(24.0)[:, None] + [[0, 1]])
    project.makepyfile(
        test_it="""
def test_it(pair):
    assert [int(v) for v in pair.x.values[:, 0]] == [
        int(i[-2:]) + 12 * i.startswith("table") for i in pair.x.ids
    ]
    assert len(pair) == 10
"""
    )
    args = ("--encoders=npy:lines.npy", "--align-data-root=data", "--n-samples=5", "--align-no-l2")
    run(project, *args).assert_outcomes(passed=1)


def test_wrong_numbers_of_rows_are_a_line_a_model(arrays: pytest.Pytester) -> None:
    arrays.makepyfile(test_it=RECORD)
    lines = errors(start(arrays, "--align-dataset=sample_data"))
    assert len(lines) == 3
    assert lines[0].startswith(
        "ERROR: good: npy:good.npy: 36 rows; expected 90, one for each sample of sample_data@"
    )


@pytest.mark.parametrize("args", [(), ("-n", "2")], ids=["serial", "workers"])
def test_arrays_of_different_lengths_name_both(arrays: pytest.Pytester, args: tuple[str, ...]) -> None:
    arrays.makepyfile(test_it=RECORD)
    np.save(arrays.path / "texts.npy", np.ones((35, 3)))
    (line,) = errors(start(arrays, *args))
    assert "texts: npy:texts.npy: 35 rows; expected 36, one for each row of npy:good.npy" in line


def test_a_row_that_is_not_finite_stops_the_run_before_any_test(arrays: pytest.Pytester) -> None:
    arrays.makepyfile(test_it=RECORD)
    values = np.load(arrays.path / "noise.npy")
    values[7, 2] = np.nan
    np.save(arrays.path / "noise.npy", values)
    (line,) = errors(start(arrays))
    assert line.startswith("ERROR: noise: npy:noise.npy: 1 of 36 rows are not finite, the first is row 7")
    assert start(arrays, "-k", "good").ret == 0


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--encoders=npy:none.npy"], "none: there is no file none.npy"),
        (["--align-pooling=mean"], "good: an array takes no --align-pooling"),
        (["--encoders=npy:good.npy,npy:./good.npy"], "give one an alias: other-name=npy:good.npy"),
        (["--align-labels=none.txt"], "none.txt: there is no such file"),
        (["--align-labels=short.txt"], "short.txt: 1 labels; expected 36, one for each row of the arrays"),
        (["--data-types=chart"], "unknown data type 'chart'"),
        (["--llms=toy-llm", "--align-labels=labels.txt"], "--align-labels: it is for rows of arrays"),
        (
            ["--align-dataset=sample_data", "--align-groups=labels.txt"],
            "--align-groups: it is for rows of arrays",
        ),
    ],
    ids=lambda v: v[0] if isinstance(v, list) else "",
)
def test_what_arrays_cant_do_is_one_clean_line(arrays: pytest.Pytester, args: list[str], says: str) -> None:
    arrays.makepyfile(test_it=RECORD)
    (arrays.path / "short.txt").write_text("one\n", encoding="utf-8")
    (line,) = errors(start(arrays, *args))
    assert says in line


@pytest.mark.parametrize("named", ["environment", "configuration"])
def test_data_that_is_named_anywhere_is_taken(
    arrays: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    arrays.makepyfile(test_it=RECORD)
    charts_and_tables(arrays.path / "data", 18)
    if named == "environment":
        monkeypatch.setenv("VLM_DATA_ROOT", "data")
    else:
        (arrays.path / "alignbench.yaml").write_text("data_root: data\n", encoding="utf-8")
    assert start(arrays).ret == 0
    run_data, _ = read_run(arrays.path / "reports" / "latest")
    assert run_data["dataset"]["name"] == "data"
    assert run_data["dataset"]["types"] == {"chart": 18, "table": 18}


def test_without_labels_all_rows_are_of_one_type(arrays: pytest.Pytester) -> None:
    copy_benchmarks(arrays, "test_eas.py")
    result = start(arrays, "benchmarks")
    assert result.ret == 0
    run_data, found = read_run(arrays.path / "reports" / "latest")
    assert run_data["dataset"]["types"] == {"all": N}
    assert {score.metric for score in found if score.status == "ok"} == {"eas"}
    assert all("no_labels" in score.flags for score in found if score.metric == "eas")
    assert all("two classes" in str(score.reason) for score in found if score.metric != "eas")


def test_labels_choose_and_draw_rows(arrays: pytest.Pytester) -> None:
    arrays.makepyfile(test_it=RECORD)
    args = ("--align-labels=labels.txt", "--data-types=chart,page", "--n-samples=10")
    result = start(arrays, *args)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["model  good: arrays, 12 dims, float32 from good.npy, 20 of its 36 rows"])
    run_data, _ = read_run(arrays.path / "reports" / "latest")
    assert run_data["dataset"]["types"] == {"chart": 10, "page": 10}


def test_groups_from_a_file_are_the_unit(arrays: pytest.Pytester) -> None:
    arrays.makepyfile(test_it=RECORD)
    (arrays.path / "groups.txt").write_text("\n".join(str(i // 2) for i in range(N)), encoding="utf-8")
    assert start(arrays, "--align-groups=groups.txt").ret == 0
    assert {score["n"] for score in scores(arrays).values()} == {N // 2}


def words(result: pytest.RunResult) -> str:
    """Return what a run printed without the breaks of its lines."""
    return " ".join(" ".join(result.outlines).split())


def copied(arrays: pytest.Pytester, name: str = "good.npy") -> None:
    """Make each second row of an array a copy of the one before it."""
    values = np.load(arrays.path / name)
    values[1::2] = values[::2]
    np.save(arrays.path / name, values)


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "workers"])
def test_copied_rows_without_groups_are_said_and_flagged(
    arrays: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    arrays.makepyfile(test_it=RECORD)
    copied(arrays)
    result = start(arrays, *workers)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["warn   npy:good.npy: 18 of 36 rows equal an earlier one, yet *"])
    result.stdout.fnmatch_lines(["*= = repeated_rows: some rows are copies of others*"])
    assert "--align-groups rows makes equal rows one group" in words(result)
    latest = arrays.path / "reports" / "latest"
    (warning,) = read_run(latest)[0]["warnings"]
    assert warning.startswith("npy:good.npy: 18 of 36 rows equal an earlier one")
    # Row i of all arrays is one sample: what is copied in one is a copy in all.
    assert all("repeated_rows" in score["flags"] for score in scores(arrays).values())
    assert ": some rows are copies of others" in (latest / "summary.md").read_text(encoding="utf-8")
    assert "rows are copies of others" in (latest / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("groups", ["groups.txt", "rows"])
def test_copied_rows_in_groups_are_fine(arrays: pytest.Pytester, groups: str) -> None:
    arrays.makepyfile(test_it=RECORD)
    copied(arrays)
    (arrays.path / "groups.txt").write_text("\n".join(str(i // 2) for i in range(N)), encoding="utf-8")
    assert start(arrays, f"--align-groups={groups}").ret == 0
    recorded, _ = read_run(arrays.path / "reports" / "latest")
    assert recorded["warnings"] == []
    assert recorded["dataset"]["groups"] == N // 2
    found = scores(arrays).values()
    assert {score["n"] for score in found} == {N // 2}
    assert not any("repeated_rows" in score["flags"] for score in found)
    assert all(f"--align-groups={groups}" in score["reproduce"] for score in found)


def test_rows_that_are_all_equal_are_no_groups(arrays: pytest.Pytester) -> None:
    arrays.makepyfile(test_it=RECORD)
    np.save(arrays.path / "noise.npy", np.ones((N, 3), dtype=np.float32))
    (line,) = errors(start(arrays, "--align-groups=rows"))
    assert (
        "all 36 rows are linked to one group (distinct rows: npy:good.npy has 36, npy:noise.npy has 1" in line
    )


def test_copies_beside_data_that_is_named_are_said_too(arrays: pytest.Pytester) -> None:
    arrays.makepyfile(test_it=RECORD)
    charts_and_tables(arrays.path / "data")
    np.save(arrays.path / "v.npy", np.repeat(np.random.default_rng(0).normal(size=(6, 4)), 2, axis=0))
    args = ("--encoders=npy:v.npy,toy-a", "--llms=toy-llm", "--align-data-root=data", "--align-no-thumbnails")
    result = start(arrays, *args)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["warn   npy:v.npy: 6 of 12 rows equal an earlier one, yet *"])
    assert "check how the array was made" in words(result)
    flagged = {(s["encoder"], "repeated_rows" in s["flags"]) for s in scores(arrays).values()}
    assert flagged == {("v", True), ("toy-a", False)}


def test_what_needs_a_model_or_an_image_is_skipped_with_the_reason(arrays: pytest.Pytester) -> None:
    arrays.makepyfile(
        test_it="""
import pytest

@pytest.mark.speed
def test_time(encoder):
    encoder.load("cpu", "float32")

@pytest.mark.speed
def test_time_of_llm(llm):
    llm.load("cpu", "float32")

@pytest.mark.speed
def test_decode(dataset):
    dataset.samples[0].image_bytes()

@pytest.mark.speed
def test_metric():
    pass
"""
    )
    result = start(arrays, "-rs", "-v")
    result.assert_outcomes(skipped=4, passed=1)
    text = " ".join(result.stdout.str().split())
    assert "good is an array that was computed elsewhere: there is no model to time" in text
    assert "texts is an array that was computed elsewhere" in text
    assert "the samples are rows of arrays: there are no images" in text


def test_the_command_of_a_score_on_arrays_gives_that_score(arrays: pytest.Pytester) -> None:
    copy_benchmarks(arrays, "test_eas.py")
    assert start(arrays, "benchmarks", "-k", "eas_adjusted and good", "--align-labels=labels.txt").ret == 0
    before = scores(arrays)
    ((key, score),) = before.items()
    assert "--align-labels=labels.txt" in score["reproduce"]
    assert arrays.runpytest_subprocess(*shlex.split(score["reproduce"])[1:]).ret == 0
    assert scores(arrays)[key]["value"] == pytest.approx(score["value"], abs=1e-12)


def test_a_run_on_arrays_imports_no_torch(arrays: pytest.Pytester) -> None:
    copy_benchmarks(arrays, *ALL)
    arrays.makepyfile(
        test_last="import sys\ndef test_last():\n    assert not {'torch', 'transformers'} & {*sys.modules}"
    )
    assert start(arrays, "benchmarks", "test_last.py", "--align-labels=labels.txt").ret == 0
