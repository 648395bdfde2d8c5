"""What a run leaves on the disk: whole files, numbers only, and nothing lost when it is killed."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from alignbench.errors import DataError, UnwritableError
from alignbench.findings import SCHEMA, Findings, append_score, read_run, read_scores, write_text
from alignbench.plots import read_artifacts
from alignbench.session.keep import Keeper
from alignbench.session.runfolder import RunFolder
from alignbench.show import point_latest, scores_csv, write_run
from alignbench.tests.report_fakes import (
    HOSTILE,
    make_arrays,
    make_run,
    make_score,
    make_scores,
    without_interval,
    write_arrays,
)
from alignbench.types import Interval, ModelInfo, Null, Run, Score

if TYPE_CHECKING:
    from collections.abc import Iterator


def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def constants(text: str) -> Iterator[str]:
    """Yield the NaN and Infinity tokens of JSON text."""
    found: list[str] = []
    json.loads(text, parse_constant=found.append)
    yield from found


@pytest.mark.parametrize(
    ("definition", "kind"),
    [("score", Score), ("null", Null), ("interval", Interval), ("run", Run), ("model", ModelInfo)],
)
def test_schema_names_exactly_the_fields_of_the_dataclass(definition: str, kind: Any) -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))["$defs"][definition]
    assert set(schema["properties"]) == {field.name for field in fields(kind)}
    assert schema["additionalProperties"] is False


@pytest.mark.slow
def test_scores_json_of_a_whole_run_is_valid(tmp_path: Path) -> None:
    scores = [*make_scores(), without_interval(make_score("rsa", 0.2)), make_score("cknna", None)]
    write_run(tmp_path, Findings.of(scores, make_run()), figures=False)
    data = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    validator().validate(data)
    assert len(data["scores"]) == len(scores)
    assert [ranking["llm"] for ranking in data["ranking"]] == ["mini-llama", "mini-qwen"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "spoil",
    [
        {"value": None},
        {"status": "not_applicable"},
        {"flags": "saturated"},
        {"weights": {"mini-clip": "stolen"}},
        {"interval": {"low": 0.1, "high": None, "method": "x", "level": 0.95}},
        {"surprise": 1},
    ],
)
def test_schema_refuses_a_spoilt_score(tmp_path: Path, spoil: dict[str, Any]) -> None:
    write_run(tmp_path, Findings.of([make_score("rsa", 0.2)], make_run()), figures=False)
    data = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    data["scores"][0] |= spoil
    with pytest.raises(jsonschema.ValidationError):
        validator().validate(data)


@pytest.mark.slow
def test_read_run_gives_back_what_was_written(tmp_path: Path) -> None:
    scores = make_scores()
    write_run(tmp_path, Findings.of(scores, make_run()), figures=False)
    run, read = read_run(tmp_path)
    assert run == json.loads(json.dumps(make_run().to_dict()))
    assert sorted(read, key=lambda s: s.key) == sorted(scores, key=lambda s: s.key)


def test_variants_of_a_score_are_kept_apart(tmp_path: Path) -> None:
    scores = [
        make_score("mrr", 0.4 + 0.1 * i, variant=variant, experiment="e2e")
        for i, variant in enumerate(("image_to_text mse", "text_to_image mse"))
    ]
    assert len({score.key for score in scores}) == 2
    write_run(tmp_path, Findings.of(scores, make_run()), figures=False)
    validator().validate(json.loads((tmp_path / "scores.json").read_text(encoding="utf-8")))
    assert [score.variant for score in read_run(tmp_path)[1]] == ["image_to_text mse", "text_to_image mse"]
    assert "text_to_image mse" in (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert "text_to_image mse" in scores_csv(scores)


def test_a_score_of_before_there_were_variants_is_read() -> None:
    plain = make_score("rsa", 0.2).to_dict()
    del plain["variant"]
    assert Score.from_dict(plain).variant == ""


@pytest.mark.slow
def test_files_do_not_depend_on_the_order_of_recording(tmp_path: Path) -> None:
    scores = make_scores()
    for name, order in (("a", scores), ("b", scores[::-1])):
        write_run(tmp_path / name, Findings.of(order, make_run()), figures=False)
    for file in ("scores.json", "summary.md"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_log_survives_a_torn_last_line(tmp_path: Path) -> None:
    scores = make_scores()[:3]
    for score in scores:
        append_score(tmp_path, score)
    log = tmp_path / "scores.jsonl"
    log.write_bytes(log.read_bytes()[:-40])
    assert read_scores(log) == scores[:2]
    assert read_run(tmp_path) == ({}, scores[:2])


def test_appending_after_a_torn_line_loses_only_that_line(tmp_path: Path) -> None:
    first, second, third = make_scores()[:3]
    append_score(tmp_path, first)
    append_score(tmp_path, second)
    log = tmp_path / "scores.jsonl"
    log.write_bytes(log.read_bytes()[:-1])
    append_score(tmp_path, third)
    assert read_scores(log) == [first, third]


@pytest.mark.slow
def test_log_cut_at_every_byte_is_readable(tmp_path: Path) -> None:
    scores = [replace(score, deletions=()) for score in make_scores()[:2]]
    for score in scores:
        append_score(tmp_path, score)
    log = tmp_path / "scores.jsonl"
    whole = log.read_bytes()
    first_line = whole.index(b"\n")
    for length in [*range(0, len(whole), 11), first_line, first_line + 1, len(whole) - 1]:
        log.write_bytes(whole[:length])
        expected = 2 if length == len(whole) - 1 else 1 if length >= first_line else 0
        assert len(read_scores(log)) == expected, length


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    for score in make_scores()[:3]:
        append_score(tmp_path, score)
    log = tmp_path / "scores.jsonl"
    lines = log.read_bytes().split(b"\n")
    log.write_bytes(b"\n".join([lines[0], b'{"metric": "rsa"', *lines[2:]]))
    with pytest.raises(DataError, match=r"scores\.jsonl, line 2: expected a score"):
        read_scores(log)


@pytest.mark.slow
def test_scores_of_a_killed_process_are_on_the_disk(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path;"
        "from alignbench.findings import append_score;"
        "from alignbench.tests.report_fakes import make_scores;"
        "[append_score(Path(sys.argv[1]), score) for score in make_scores()[:5]];"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -9
    assert read_run(tmp_path)[1] == make_scores()[:5]


def test_no_nan_reaches_a_file(tmp_path: Path) -> None:
    nan = float("nan")
    score = make_score(
        "rsa",
        0.2,
        null=Null("drawn", mean=nan, std=float("inf"), p=None),
        interval=Interval(nan, 0.3, "jackknife"),
        deletions=(0.1, nan),
        params={"mode": "cross-modal", "ratio": nan, "list": [1.0, float("-inf")]},
    )
    append_score(tmp_path, score)
    write_run(tmp_path, Findings.of([score], make_run()), figures=False)
    for name in ("scores.json", "scores.jsonl"):
        assert not list(constants((tmp_path / name).read_text(encoding="utf-8")))
    [read] = read_run(tmp_path)[1]
    assert (read.interval, read.deletions, read.params["ratio"]) == (None, (), None)
    assert "nan" not in (tmp_path / "summary.md").read_text(encoding="utf-8").lower().split()


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    from alignbench.files import write_atomic

    target = tmp_path / "scores.json"
    write_text(target, "old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half", encoding="utf-8")
        raise OSError("disk full")

    with pytest.raises(UnwritableError, match=r"scores\.json can't be written: disk full"):
        write_atomic(target, fail)
    assert target.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_lone_surrogates_in_names_do_not_stop_the_report(tmp_path: Path) -> None:
    score = make_score("calibrated_cka", 0.2, "enc\udcff")
    append_score(tmp_path, score)
    write_run(tmp_path, Findings.of([score], make_run(("enc\udcff",))), figures=False)
    assert len(read_run(tmp_path)[1]) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "it is damaged or cut off"),
        ("[]", r"it holds no scores of alignbench, but \[\]"),
        ('{"schema_version": 99}', "schema_version 1, got 99"),
    ],
)
def test_unreadable_run_says_what_is_wrong(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "scores.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_run(tmp_path)


def test_empty_folder_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found neither"):
        read_run(tmp_path)


def test_latest_points_to_the_newest_run(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        point_latest(tmp_path / name)
    assert (tmp_path / "latest").resolve() == tmp_path / "second"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["first", "latest", "second"]


def test_a_folder_called_latest_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "latest").mkdir()
    (tmp_path / "latest" / "mine").touch()
    (tmp_path / "run").mkdir()
    assert point_latest(tmp_path / "run") == ""
    assert (tmp_path / "latest" / "mine").exists()


def test_a_link_that_the_disk_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "first").mkdir()
    assert point_latest(tmp_path / "first") == ""
    monkeypatch.setattr(Path, "symlink_to", full)
    (tmp_path / "second").mkdir()
    keeper = Keeper(RunFolder(tmp_path / "second"))
    keeper.finish(Findings.of(make_scores(), make_run()), figures=False)
    unwritten = f"NOT WRITTEN to {tmp_path / 'second'}: the link latest"
    assert keeper.sentence() == f"{unwritten} (No space left on device)"
    assert (tmp_path / "latest").resolve() == tmp_path / "first"


@pytest.mark.slow
def test_run_with_artifacts_leaves_every_figure(tmp_path: Path) -> None:
    encoders, llms = ("mini-clip", "random-vit"), ("mini-llama",)
    write_arrays(tmp_path / "artifacts", *make_arrays(encoders, llms))
    write_run(tmp_path, Findings.of(make_scores(encoders, llms), make_run(encoders, llms)))
    drawable = (
        "eas_dashboard",
        "cka_vs_coral",
        "coral_comparison",
        "covariance_heatmaps",
        "eigenvalue_spectrum",
        "intra_modal_similarity",
        "sample_similarity",
        "coral_dashboard",
        "speed_dashboard",
        "cka_comparison",
        "alignment_summary",
    )
    figures = {f"{name}.{kind}" for kind in ("png", "svg") for name in drawable}
    others = {"scores.json", "summary.md", "report.html", "artifacts"}
    assert {p.name for p in tmp_path.iterdir()} == {*figures, *others}
    summary = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in summary for name in drawable)


@pytest.mark.slow
def test_a_spoilt_artifact_costs_its_figures_and_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "artifacts"
    write_arrays(folder, *make_arrays(("mini-clip",), ("mini-llama",)))
    (folder / "similarity-01.npz").unlink()
    (folder / "similarity-00.npz").write_bytes(b"PK half a file")
    with pytest.warns(UserWarning, match=r"similarity-00\.npz: expected plot inputs"):
        write_run(tmp_path, Findings.of([], make_run()))
    assert not (tmp_path / "sample_similarity.png").exists()
    assert (tmp_path / "eigenvalue_spectrum.png").exists()
    assert "similarity-00.npz" in (tmp_path / "summary.md").read_text(encoding="utf-8")


def test_an_archive_that_zipfile_cannot_unpack_is_a_spoilt_artifact(tmp_path: Path) -> None:
    write_arrays(tmp_path, *make_arrays(("mini-clip",), ("mini-llama",)))
    spoilt = tmp_path / "similarity-00.npz"
    content = bytearray(spoilt.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):  # where a member's compression is said
        at = content.find(mark)
        while at >= 0:
            content[at + offset] = 99
            at = content.find(mark, at + 1)
    spoilt.write_bytes(content)
    said: list[str] = []
    read_artifacts(tmp_path, said.append)
    [line] = said
    assert line.startswith("similarity-00.npz: expected plot inputs as .npz of plain arrays")


def test_csv_cells_start_no_formula() -> None:
    scores = [make_score("rsa", -0.25, name) for name in (*HOSTILE, "+1", "-1", "@x", "\t=1")]
    text = scores_csv(scores)
    assert "'=cmd" in text
    assert ",-0.25," in text
    for line in text.splitlines()[1:]:
        assert line.split(",")[2].lstrip('"')[0] not in "=+-@\t"


@pytest.mark.slow
def test_importing_the_report_loads_nothing_heavy() -> None:
    code = (
        "import sys, alignbench.show, alignbench.plots;"
        "print([m for m in ('matplotlib', 'torch', 'transformers', 'sklearn', 'umap', 'scipy.stats')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
