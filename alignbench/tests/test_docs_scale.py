"""The page about many pairs: the example of a job of SLURM is a script, and its options exist."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from alignbench.executors import SHARD_ROWS
from alignbench.options import OPTIONS
from alignbench.session.options import Options
from alignbench.session.table import BuiltInOptions

PAGE = (Path(__file__).parents[1] / "docs" / "scale.md").read_text(encoding="utf-8")
JOB = re.findall(r"```bash\n(#!/bin/bash\n.*?)```", PAGE, re.DOTALL)[0]


def command() -> list[str]:
    """The words after `srun`."""
    text = JOB[JOB.index("srun ") :].replace("\\\n", " ")
    return shlex.split(text)[1:]


def test_the_job_is_a_script(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    script = tmp_path / "job.sh"
    script.write_text(JOB)
    checked = subprocess.run([bash, "-n", str(script)], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_options_of_the_job_exist_and_are_valid() -> None:
    words = command()
    words = words[words.index("pytest") :]
    by_flag = {option.flag: option for option in OPTIONS}
    given = {word: words[i + 1] for i, word in enumerate(words) if word.startswith("--")}
    assert set(given) <= set(by_flag)
    values = {by_flag[flag].name: value for flag, value in given.items() if flag != "--align-executor"}
    assert Options(values).device == "cuda"
    assert given["--align-executor"] == "ray"


def test_every_option_on_the_page_exists() -> None:
    flags = set(re.findall(r"--align-[a-z-]+", PAGE))
    assert flags <= {option.flag for option in OPTIONS}


def test_ray_has_the_command_and_the_options_of_the_job() -> None:
    scripts = pytest.importorskip("ray.scripts.scripts", reason="Ray is not installed; it is the extra `ray`")
    words = command()
    assert words[:2] == ["ray", "symmetric-run"]
    symmetric, start = scripts.cli.commands["symmetric-run"], scripts.cli.commands["start"]
    known = {name for run in (symmetric, start) for option in run.params for name in option.opts}
    assert {word for word in words[: words.index("--")] if word.startswith("--")} <= known


def test_the_page_names_the_size_of_a_shard() -> None:
    assert BuiltInOptions.shards.default == SHARD_ROWS
    assert f"shards of {SHARD_ROWS:,} samples" in " ".join(PAGE.split())
