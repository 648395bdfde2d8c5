"""The `alignbench` command: which pytest run an experiment is, and what the other commands say."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.cli.options import COMMON
from alignbench.experiments import experiments
from alignbench.options import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]


def dry(said: Callable[..., tuple[int, str, str]], *argv: str) -> list[str]:
    status, out, _ = said(*argv[:1], "--dry-run", *argv[1:])
    assert status == 0
    words = shlex.split(out.splitlines()[0])
    assert words[:2] == ["+", "pytest"]
    return words[2:]


def test_the_first_run_is_three_experiments_with_the_defaults(
    said: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert dry(said, "try") == ["benchmarks", "-m", "cka or coral or eas"]
    assert "Next, with your own" not in said("try", "--dry-run")[1]


def test_an_experiment_is_the_pytest_run_of_its_marker(
    said: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    options = ("--encoders", "clip", "siglip", "--llms", "llama", "--n-samples", "30")
    assert dry(said, "coral", *options) == [
        "benchmarks",
        "-m",
        "coral",
        "--encoders=clip,siglip",
        "--llms=llama",
        "--n-samples=30",
    ]
    assert dry(said, "multi-llm", "--metrics", "rsa,mutual_knn", "-n", "2", "--", "-x")[1:] == [
        "-m",
        "multi_llm",
        "--align-metrics=rsa,mutual_knn",
        "-n",
        "2",
        "-x",
    ]


def test_the_toolkits_options_are_known(
    said: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    places = ("--data-root", "d", "--output-dir", "o", "--device", "cpu")
    assert dry(said, "speed", *places, "--batch-sizes", "1", "8")[3:] == [
        "--align-data-root=d",
        "--align-output-dir=o",
        "--align-device=cpu",
        "--align-batch-sizes=1,8",
    ]
    assert "--align-epochs=10" in dry(said, "e2e", "--epochs", "10")
    assert "--align-method=tsne,umap" in dry(said, "embedding", "--method", "tsne", "umap")
    shown = dry(said, "embedding", "--perplexity", "12.5", "--neighbors", "7")
    assert shown[3:] == ["--align-perplexity=12.5", "--align-neighbors=7"]
    as_pytest = dry(said, "coral", "--align-standins", "--align-seed=1")  # as a message may have named them
    assert as_pytest == dry(said, "coral", "--standins", "--seed=1")
    shown = dry(said, "attention", "--image", "a.png", "--text", "a cat, a dog", "b")
    assert shown[3:] == ["--align-image=a.png", "--align-prompt=a cat, a dog", "--align-prompt=b"]


def test_commands_take_data_in_any_form(
    said: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.npy", "b.npy"):
        np.save(tmp_path / name, np.eye(8))
    data = ("--data", "a.csv", "--columns", "image=b", "text=c", "--type-from", "none", "--image-root", "d")
    as_pytest = ["--align-data=a.csv", "--align-columns=image=b,text=c", "--align-type-from=none"]
    for words in (("coral",), ("from-arrays", "a.npy", "b.npy")):
        shown = dry(said, *words, *data, "--n-samples", "all")
        assert {*as_pytest, "--align-image-root=d", "--n-samples=all"} <= set(shown)
    _, help_of_the_page, _ = said("ui", "--help")
    for name in ("data", "columns", "type-from", "image-root", "follow-links", "data-root"):
        assert f"--{name} " in help_of_the_page


def test_every_option_has_a_command() -> None:
    offered = {name for group in COMMON for name in OPTIONS.of_group(group)}
    offered |= {name for experiment in experiments() for name in experiment.options}
    assert offered == {option.name for option in OPTIONS}


@pytest.mark.slow
def test_a_suite_installed_below_us_has_its_fixtures_and_k_looks_in_its_tests_only(tmp_path: Path) -> None:
    suite = tmp_path / ".venv" / "site-packages" / "alignbench" / "_suite" / "benchmarks"
    shutil.copytree(ROOT / "benchmarks", suite)
    code = (
        "import sys\nfrom pathlib import Path\nfrom alignbench import cli, paths\n"
        f"paths.benchmarks = lambda: Path({str(suite)!r})\n"
        "sys.exit(cli.main(['coral', '--n-samples=5', '--', '--collect-only', '-q', '-k', 'packages']))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ALIGNBENCH_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "-p alignbench.plugin.fixtures" in done.stdout
    assert done.returncode == 5, (
        done.stdout + done.stderr
    )  # -k sees no folder above the tests, as site-packages


def test_an_option_of_another_experiment_is_refused(said: Callable[..., tuple[int, str, str]]) -> None:
    status, _, err = said("coral", "--batch-sizes", "1")
    assert status == 2
    assert "unrecognized arguments: --batch-sizes" in err


def test_outside_a_clone_the_installed_suite_is_run_and_conftest_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Callable[..., tuple[int, str, str]]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = dry(said, "coral")
    assert Path(words[0]).is_dir()
    assert words[1:3] == ["-p", "alignbench.plugin.fixtures"]
    assert "conftest" not in words
    assert f"--rootdir={words[0]}" in words
    (tmp_path / "conftest.py").touch()
    _, out, _ = said("coral", "--dry-run")
    assert out.startswith("+ python -m pytest ")  # or pytest does not find it
    assert "-p conftest" in out


def test_arrays_are_scored_and_nothing_else_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Callable[..., tuple[int, str, str]]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.npy", "b.npy", "t.npy"):
        np.save(tmp_path / name, np.ones((3, 2)))
    words = dry(said, "from-arrays", "a.npy", "b.npy", "t.npy", "--labels", "l.txt")
    assert words[-3:] == ["--encoders=npy:a.npy,npy:b.npy", "--llms=npy:t.npy", "--align-labels=l.txt"]
    chosen = words[words.index("-m") + 1].split(" or ")
    assert chosen == [
        "cka", "compare", "multi_llm", "coral", "eas", "embedding", "elas", "e2e", "sensitivity", "validity"
    ]  # fmt: skip
    _, out, _ = said("from-arrays", "--dry-run", "a.npy", "t.npy")
    [left_out] = out.splitlines()[1:]
    assert left_out.startswith("left out: speed (times metrics and models); attention (")
    for wrong, says in (
        (["a.npy"], "one or more files of vision and then one of text"),
        (["a.npy", "c.npy"], "there is no file c.npy"),
    ):
        status, _, err = said("from-arrays", *wrong)
        assert status == 4
        assert says in err


@pytest.mark.slow
def test_a_run_has_pytests_exit_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conftest.py").write_text(
        "from alignbench.encoders import ENCODERS\n"
        "class Mine:\n"
        "    def embed(self, images):\n"
        "        return [[i.width, i.height, sum(i.resize((1, 1)).getpixel((0, 0)))] for i in images]\n"
        "ENCODERS.add('mine', Mine())\n"
    )
    command = (
        sys.executable,
        "-m",
        "alignbench",
        "cka",
        "--encoders",
        "mine",
        "--n-samples",
        "8",
        "--no-figures",
    )
    environment = {"PYTHONPATH": str(ROOT), "ALIGNBENCH_CACHE": str(tmp_path / "cache"), "PATH": ""}
    for extra, expected in ((["--", "-k", "linear_cka"], 0), (["--", "-k", "no_such_test"], 5)):
        done = subprocess.run(
            [*command, *extra], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == expected, done.stdout + done.stderr
        assert done.stdout.startswith("+ python -m pytest ")
        assert "PytestAssertRewriteWarning" not in done.stdout
    assert (tmp_path / "reports" / "latest" / "scores.json").is_file()


HEAVY = {
    "torch",
    "torchvision",
    "transformers",
    "timm",
    "open_clip",
    "sklearn",
    "scipy",
    "umap",
    "pandas",
    "pyarrow",
    "datasets",
    "matplotlib",
    "PIL",
    "gradio",
    "jsonschema",
    "safetensors",
    "tokenizers",
}
# What computes, trains and draws waits until it is asked for something.
COMPUTING = {
    "alignbench.stats",
    "alignbench.embed",
    "alignbench.projectors.fit",
    "alignbench.datasets.synthetic",
    "alignbench.experiments.scoring",
    "alignbench.experiments.trained",
    "alignbench.experiments.speed.works",
    "alignbench.experiments.vlm.scores",
}


@pytest.mark.slow
@pytest.mark.parametrize("argv", [["--help"], ["list"], ["coral", "--help"]])
def test_what_only_tells_is_quick_and_imports_nothing_heavy(argv: list[str]) -> None:
    code = (
        "import sys\nfrom alignbench.cli import main\n"
        f"try:\n    main({argv})\nexcept SystemExit:\n    pass\n"
        f"found = {HEAVY | COMPUTING} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    seconds = []
    for _ in range(3):
        before = os.times()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        after = os.times()  # the processor's time: others may keep the machine busy
        seconds.append(
            after.children_user - before.children_user + after.children_system - before.children_system
        )
        assert done.returncode == 0, done.stderr
    assert min(seconds) < 2.0  # half a second on a quiet machine


@pytest.mark.slow
def test_whoever_reads_may_have_had_enough() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "alignbench", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait() == 1
        assert process.stderr is not None
        assert process.stderr.read() == b""
