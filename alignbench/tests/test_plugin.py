"""The plugin as a user meets it: serially, in workers, with other plugins switched off."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from alignbench import paths
from alignbench.findings import read_run
from alignbench.tests.toys import CONFTEST, RECORD, SELECTION, copy_benchmarks, run, scores

if TYPE_CHECKING:
    from pathlib import Path


def test_a_run_leaves_scores_and_a_summary(project: pytest.Pytester) -> None:
    copy_benchmarks(project, "test_cka.py", "test_coral.py", "test_eas.py")
    result = run(project, "benchmarks", "-k", "mutual_knn or ncoral or eas", "-p", "no:randomly")
    assert result.ret == 0
    run_data, found = read_run(project.path / "reports" / "latest")
    assert {s.experiment for s in found} == {"cka", "coral", "eas"}
    assert {(s.encoder, s.llm) for s in found if s.metric == "mutual_knn"} == {
        ("toy-a", "toy-llm"),
        ("toy-b", "toy-llm"),
    }
    assert run_data["dataset"]["n"] == 30
    assert (project.path / "reports" / "latest" / "summary.md").is_file()
    assert (project.path / "reports" / "latest" / "report.html").is_file()
    result.stdout.fnmatch_lines(["report: reports/*/report.html"])
    logged = (project.path / "reports" / "latest" / "scores.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(logged) == len(found)


@pytest.mark.parametrize(
    "args", [("-n", "2"), ("-p", "randomly", "-p", "no:xdist")], ids=["workers", "shuffled"]
)
def test_scores_do_not_depend_on_who_computes_them(project: pytest.Pytester, args: tuple[str, ...]) -> None:
    copy_benchmarks(project, "test_cka.py", "test_eas.py")
    assert run(project, "benchmarks", "-p", "no:randomly", "-p", "no:xdist").ret == 0
    serial = scores(project)
    assert run(project, "benchmarks", "--align-no-embedding-cache", *args).ret == 0
    again = scores(project)
    assert serial.keys() == again.keys()
    for key, score in serial.items():
        for field in ("value", "chance"):
            assert score[field] == pytest.approx(again[key][field], abs=1e-12)
        assert (score["null"] or {}).get("p") == (again[key]["null"] or {}).get("p")


@pytest.mark.parametrize(
    "args", [("-p", "no:xdist"), ("-p", "no:benchmark"), ("--junitxml=j.xml",)], ids=lambda a: a[-1]
)
def test_other_plugins_are_optional(project: pytest.Pytester, args: tuple[str, ...]) -> None:
    project.makepyfile(test_it=RECORD)
    assert run(project, *args).ret == 0
    assert len(scores(project)) == 4


def test_weights_are_loaded_at_most_once_a_run(project: pytest.Pytester) -> None:
    copy_benchmarks(project, "test_cka.py", "test_coral.py", "test_eas.py")
    assert (
        run(project, "benchmarks", "-k", "linear_cka or ncoral or spread", "--llms=toy-llm,toy-llm2").ret == 0
    )
    run_data, _ = read_run(project.path / "reports" / "latest")
    assert sorted(load["model"] for load in run_data["loads"]) == ["toy-a", "toy-b", "toy-llm", "toy-llm2"]


def test_names_by_commas_or_repeated(project: pytest.Pytester) -> None:
    project.makepyfile(test_it=RECORD)
    result = project.runpytest_subprocess(
        "--collect-only", "-q", "--encoders=toy-a", "--encoders=toy-b", "--llms=toy-llm,toy-llm2"
    )
    result.stdout.fnmatch_lines(["*test_some[[]linear_cka-toy-b-toy-llm2[]]"])


def test_a_stand_in_is_labelled_as_one(project: pytest.Pytester) -> None:
    project.makepyfile(test_it=RECORD)
    result = run(project, "--encoders=clip", "--align-standins", "-k", "linear_cka")
    assert result.ret == 0
    _, found = read_run(project.path / "reports" / "latest")
    assert [score.encoder for score in found] == ["mini-clip (stand-in for clip)"]
    assert "stand-in" in found[0].weights.values()
    result.stdout.fnmatch_lines(["*mini-clip (stand-in for clip)*"])


def test_a_run_without_scores_writes_and_says_nothing(project: pytest.Pytester) -> None:
    project.makepyfile("def test_nothing(): pass")
    result = run(project)
    assert result.ret == 0
    assert not (project.path / "reports").exists()
    assert "= alignbench =" not in result.stdout.str()
    assert "plan " not in result.stdout.str()


def test_the_plugin_is_a_good_guest(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import pytest

        def pytest_addoption(parser):
            parser.addoption("--device", default="mine")
            parser.addoption("--seed", default="7")

        @pytest.fixture
        def encoder(request):
            return request.config.getoption("--device")
        """
    )
    pytester.makepyfile("def test_mine(encoder):\n    assert encoder == 'theirs'")
    result = pytester.runpytest_subprocess("--device=theirs", "-v")
    result.assert_outcomes(passed=1)
    assert "alignbench" not in "\n".join(line for line in result.outlines if not line.startswith("plugins:"))
    fixtures = pytester.runpytest_subprocess("--fixtures").stdout.str()
    assert "alignbench" not in "\n".join(
        line for line in fixtures.splitlines() if not line.startswith("plugins:")
    )
    assert not (pytester.path / "reports").exists()


def test_a_test_may_pin_its_model_or_bring_its_own_fixture(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
import pytest

@pytest.fixture(scope="session")
def llm(alignbench_session):
    return alignbench_session.llms["toy-llm"]

@pytest.mark.parametrize("encoder", ["toy-b"], indirect=True)
def test_pinned(pair, record):
    record("linear_cka", pair)
"""
    )
    run(project).assert_outcomes(passed=1)
    assert [(key[2], key[3]) for key in scores(project)] == [("toy-b", "toy-llm")]


def test_two_models_behind_one_stand_in_stay_apart(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
def test_it(text_pair, record):
    record("linear_cka", text_pair)
"""
    )
    run(project, "--llms=llama,llama3", "--align-standins").assert_outcomes(passed=1)
    _, found = read_run(project.path / "reports" / "latest")
    assert (found[0].llm, found[0].other) == (
        "mini-llama (stand-in for llama)",
        "mini-llama (stand-in for llama3)",
    )


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_long_work_shows_its_progress_on_a_terminal(project: pytest.Pytester) -> None:
    import os
    import pty
    import termios

    at_once = "\n\nfrom alignbench.plugin.terminal import TerminalProgress\n\nTerminalProgress.delay = 0.0\n"
    project.makeconftest(CONFTEST + at_once)
    project.makepyfile(test_it=RECORD)
    terminal, other = pty.openpty()
    termios.tcsetwinsize(other, (24, 80))
    command = [sys.executable, "-m", "pytest", *SELECTION, "--align-batch-size=5", "-k", "linear_cka"]
    process = subprocess.Popen(command, cwd=project.path, stdout=other, stderr=other)
    os.close(other)
    shown = b""
    while chunk := _read(terminal):
        shown += chunk
    assert process.wait() == 0, shown.decode()
    assert b"toy-a: images" in shown, shown.decode()


def _read(terminal: int) -> bytes:
    import os

    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says so that the other end is closed
        return b""


def test_the_command_of_a_score_gives_that_score(project: pytest.Pytester) -> None:
    copy_benchmarks(project, "test_coral.py")
    assert run(project, "benchmarks", "-k", "cross_modal and bures", "--align-seed=0").ret == 0
    before = scores(project)
    key, score = next(iter(before.items()))
    command = shlex.split(score["reproduce"])
    assert command[0] == "pytest"
    assert "--align-seed=0" in command
    assert f"--align-k={score['params']['k']}" in command
    assert project.runpytest_subprocess(*command[1:]).ret == 0
    after = scores(project)
    assert list(after) == [key]
    assert after[key]["value"] == pytest.approx(score["value"], abs=1e-12)


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["serial", "workers"])
def test_that_command_can_be_typed_where_the_suite_lies_elsewhere(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    here = project.mkdir("here")
    copy_benchmarks(project, "test_eas.py")
    (project.path / "conftest.py").rename(here / "conftest.py")
    monkeypatch.chdir(here)
    suite = str(project.path / "benchmarks")
    extra = ("-p", "alignbench.plugin.fixtures", "-p", "conftest", f"--rootdir={suite}", *workers)
    one = ("-k", "eas_adjusted and toy-a")
    command = [sys.executable, "-m", "pytest", suite, *SELECTION, *extra, *one]
    subprocess.run(command, cwd=here, capture_output=True, check=True)
    run_data, [score] = read_run(here / "reports" / "latest")
    assert run_data["command"].startswith("python -m pytest ")  # or the conftest is not found
    python, *words = shlex.split(str(score.reproduce))
    assert python == "python"
    assert "no:terminal" not in words
    subprocess.run([sys.executable, *words], cwd=here, capture_output=True, check=True)
    _, [again] = read_run(here / "reports" / "latest")
    assert again.key == score.key
    assert again.nodeid == score.nodeid
    assert again.value == pytest.approx(score.value, abs=1e-12)
    assert len([*(here / "reports").glob("2*")]) == 2


def test_that_command_names_the_file_from_where_the_run_was_started(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_benchmarks(project, "test_eas.py")
    project.makeini("[pytest]")  # here is the root, and the conftest
    monkeypatch.chdir(project.path / "benchmarks")
    command = [sys.executable, "-m", "pytest", "test_eas.py", *SELECTION, "-k", "eas_adjusted and toy-a"]
    subprocess.run(command, capture_output=True, check=True)
    _, [score] = read_run(project.path / "benchmarks" / "reports" / "latest")
    assert shlex.split(str(score.reproduce))[1].startswith("test_eas.py::")


def test_collection_imports_nothing_heavy(project: pytest.Pytester, tmp_path: Path) -> None:
    copy_benchmarks(project, *(p.name for p in paths.benchmarks().glob("test_*.py")))
    probe = tmp_path / "probe.py"
    probe.write_text(
        "import sys\n"
        "def pytest_unconfigure():\n"
        "    heavy = ['torch', 'transformers', 'sklearn', 'umap', 'matplotlib', 'open_clip', 'timm']\n"
        "    print('HEAVY', [m for m in heavy if m in sys.modules])\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "pytest", "benchmarks", "--collect-only", "-q", "-p", "probe"]
    result = subprocess.run(
        command, cwd=project.path, capture_output=True, text=True, check=True, env=_with_path(tmp_path)
    )
    assert "HEAVY []" in result.stdout


def _with_path(folder: Path) -> dict[str, str]:
    import os

    known = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *([known] if known else [])])}


def test_variants_of_a_score_that_one_test_records_are_all_kept(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
from dataclasses import replace

import pytest

@pytest.mark.e2e
def test_both_ways(pair, record):
    score = record("linear_cka", pair)
    for direction in ("text_to_image", "image_to_text"):
        params = {**score.params, "direction": direction, "loss": "contrastive"}
        record.score(replace(score, metric="mrr", params=params, variant=f"{direction} contrastive"))
"""
    )
    result = run(project)
    assert result.ret == 0
    found = [score for score in read_run(project.path / "reports" / "latest")[1] if score.metric == "mrr"]
    assert len(found) == 4
    assert {score.variant for score in found} == {"image_to_text contrastive", "text_to_image contrastive"}
    result.stdout.fnmatch_lines(["LLM toy-llm: ranked by mrr, image_to_text contrastive (higher is better)*"])


def test_what_takes_long_is_left_out_unless_it_is_asked_for(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
import pytest

@pytest.mark.vlm
def test_long(): pass

def test_short(): pass
"""
    )
    run(project).assert_outcomes(passed=1, deselected=1)
    run(project, "-m", "vlm").assert_outcomes(passed=1, deselected=1)
    run(project, "-k", "test_long or vlm").assert_outcomes(passed=1, deselected=1)


def test_scores_that_something_long_needs_are_in_a_run_without_it(project: pytest.Pytester) -> None:
    copy_benchmarks(project, "test_cka.py", "test_scaling.py")
    calibrated = "test_cka.py::test_cka[[]calibrated_cka-toy-a-*"

    def collected(*args: str) -> pytest.LineMatcher:
        return run(project, "benchmarks", "--collect-only", "-q", *args).stdout

    everything = collected()
    everything.fnmatch_lines([f"*{calibrated}", "*deselected*"])
    everything.no_fnmatch_line("*test_scaling*")
    asked = collected("-m", "scaling")
    asked.fnmatch_lines_random([f"*{calibrated}", "*test_scaling.py::test_scaling*"])
    asked.no_fnmatch_line("*rsa*")


def test_registered_objects_are_hashable(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        def test_it(pytestconfig):
            plugins = dict(pytestconfig.pluginmanager.list_name_plugin())
            assert "alignbench-bridge" in plugins
            {plugin for plugin in plugins.values()}  # pytest 9.0 keeps them in a set
        """
    )
    run(project).assert_outcomes(passed=1)
