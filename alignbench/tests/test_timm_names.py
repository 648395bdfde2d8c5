"""Where timm's pretrained names have their weights, and what it notes of them: held against timm itself."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import timm
from huggingface_hub import constants

from alignbench.encoders import resolve, timm_names
from alignbench.findings import read_run
from alignbench.tests.toys import CONFTEST, RECORD, run

if TYPE_CHECKING:
    from pathlib import Path

QUICK = "vit_base_patch16_clip_quickgelu_224"
same_timm = pytest.mark.skipif(
    timm.__version__ != json.loads(timm_names.TABLE.read_text(encoding="utf-8"))["timm"],
    reason="another timm than the table is of: python -m alignbench.measure timm_names",
)


def said_by_timm(name: str) -> Any:
    return timm.get_pretrained_cfg(name)


def repository(spec: str) -> str:
    """Return the repository that is asked."""
    source: Any = resolve(spec).source
    return str(getattr(source, "inner", source).label)


@pytest.mark.slow
@same_timm
def test_every_pretrained_name_asks_the_repository_that_timm_asks() -> None:
    expected = {}
    for name in timm.list_pretrained():
        said = said_by_timm(name).hf_hub_id
        if said:
            expected[name] = f"{said}{name}" if said.endswith("/") else said
    assert len(expected) > 1_500
    assert {name: repository(f"timm:{name}") for name in expected} == expected


@pytest.mark.slow
@same_timm
def test_each_of_timms_notes_on_quickgelu_is_passed_on() -> None:
    said = {
        name
        for name in timm.list_pretrained()
        if any("quickgelu" in note for note in said_by_timm(name).notes or ())
    }
    plain = {name for name in said if "quickgelu" not in name}
    assert plain
    assert {name for name in timm.list_pretrained() if resolve(f"timm:{name}").notes} == plain
    [note] = resolve("x=timm:vit_base_patch16_clip_224.openai").notes
    assert note.startswith("x: timm: natively QuickGELU, use quickgelu model variant")
    assert f"timm:{QUICK}.openai" in note


def test_a_name_with_its_weights_under_another_keeps_its_own_architecture(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--timm--vit_base_patch16_clip_224.openai" / "snapshots" / "main"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"architecture": "vit_base_patch16_clip_224"}', encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    plain, quick = resolve("timm:vit_base_patch16_clip_224.openai"), resolve(f"timm:{QUICK}.openai")
    assert (plain.source.config() or {})["architecture"] == "vit_base_patch16_clip_224"
    assert (quick.source.config() or {})["architecture"] == QUICK
    # One repository, two arithmetics: a cache must not take one's vectors for the other's.
    assert plain.fingerprint()["source"] != quick.fingerprint()["source"]


def test_the_architecture_of_a_name_without_tag_is_the_name() -> None:
    handle: Any = resolve(f"timm:{QUICK}")
    assert handle.source.settings == {"architecture": QUICK}
    assert handle.source.inner.label.startswith("timm/vit_base_patch16_clip_224.")


@pytest.mark.parametrize(
    ("spec", "variant"),
    [
        ("open_clip:ViT-B-32/{}", "open_clip:ViT-B-32-quickgelu/FILE"),
        ("open_clip:ViT-B-32-quickgelu/{}", None),
        ("open_clip:ViT-SO400M-14-SigLIP/{}", None),
        ("timm:vit_base_patch16_clip_224@{}", f"timm:{QUICK}@FILE"),
        (f"timm:{QUICK}@{{}}", None),
        ("timm:vit_base_patch16_224@{}", None),
    ],
)
def test_a_file_does_not_tell_its_activation_so_a_note_does(
    spec: str, variant: str | None, tmp_path: Path
) -> None:
    file = tmp_path / "mine.safetensors"
    file.write_bytes(b"")
    notes = resolve(spec.format(file)).notes
    assert len(notes) == (variant is not None)
    assert all(f"for such take {variant}" in note for note in notes)


@pytest.mark.slow
def test_names_are_resolved_without_torch() -> None:
    code = (
        "import sys; from alignbench.encoders import resolve\n"
        f"assert resolve('timm:{QUICK}.openai').source.inner.label\n"
        "assert resolve('timm:vit_base_patch16_clip_224.openai').notes\n"
        "assert not {'torch', 'timm', 'open_clip'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_models_note_is_in_plan_and_report(project: pytest.Pytester) -> None:
    note = "its weights are of another kind"
    project.makeconftest(
        f"{CONFTEST}\nfrom alignbench.weights.source import FolderSource\nFolderSource.notes = ({note!r},)"
    )
    project.makepyfile(test_it=RECORD)
    result = run(project, "--encoders=mini-clip", "--n-samples=4", "-k", "linear_cka")
    assert result.ret == 0
    result.stdout.fnmatch_lines([f"note   mini-clip: {note}"])
    latest = project.path / "reports" / "latest"
    assert read_run(latest)[0]["warnings"] == [f"mini-clip: {note}"]
    assert f"mini-clip: {note}" in (latest / "summary.md").read_text(encoding="utf-8")
