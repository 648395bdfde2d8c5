"""What a plan needs to know about timm's pretrained names, stored because asking imports torch.

`python -m alignbench.measure timm_names` writes `timm_names.json` anew, from the installed timm.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

TABLE = Path(__file__).with_suffix(".json")
_PLAIN, _QUICK = "_clip_", "_clip_quickgelu_"


def repository_of(name: str) -> str:
    """Return the Hub repository from which timm takes a name's weights; most have the name itself.

    Args:
        name: the name with its tag, such as `vit_base_patch16_clip_quickgelu_224.openai`.
    """
    return str(_table()["repositories"].get(name, f"timm/{name}"))


def notes_of(name: str) -> tuple[str, ...]:
    """Return timm's notes on a name's weights that a reader has to know; most names have none.

    Args:
        name: the name with its tag.
    """
    notes = [note for note, names in _table()["notes"].items() if name in names]
    return quickgelu_notes(name, notes)


def quickgelu_notes(name: str, notes: Sequence[str] | None) -> tuple[str, ...]:
    """Return those of timm's notes which say that the weights belong to another architecture, with its name.

    Args:
        name: the name with its tag.
        notes: timm's notes on its weights.
    """
    if _QUICK in name or _PLAIN not in name:
        return ()
    variant = name.replace(_PLAIN, _QUICK)
    return tuple(f"timm: {note} (timm:{variant})" for note in notes or () if "quickgelu" in note.lower())


def notes_of_file(architecture: str) -> tuple[str, ...]:
    """Return notes about a user's file under an architecture with a QuickGELU variant."""
    names = {name.partition(".")[0] for names in _table()["notes"].values() for name in names}
    if architecture not in names:
        return ()
    return (note_of_descent(f"timm:{architecture.replace(_PLAIN, _QUICK)}@FILE"),)


def note_of_descent(variant: str) -> str:
    """Return the note for a CLIP whose file does not reveal whether it was trained with QuickGELU.

    Args:
        variant: the spec that computes with QuickGELU.
    """
    return (
        "this name computes with GELU; weights that descend from OpenAI's, MetaCLIP's or DFN's CLIP were "
        f"trained with QuickGELU, and the file does not tell: for such take {variant}"
    )


def asked() -> dict[str, Any]:
    """Return the table of the installed timm: names whose repository or arithmetic is another one's."""
    import timm

    repositories: dict[str, str] = {}
    notes: dict[str, list[str]] = {}
    for name in timm.list_pretrained():
        if (settings := timm.get_pretrained_cfg(name)) is None:
            continue
        repository = str(settings.hf_hub_id or "")
        if repository and not repository.endswith("/") and repository != f"timm/{name}":
            repositories[name] = repository
        if repository.endswith("/") and repository != "timm/":
            repositories[name] = f"{repository}{name}"
        for note in settings.notes or ():
            if quickgelu_notes(name, [note]):
                notes.setdefault(note, []).append(name)
    return {"timm": timm.__version__, "repositories": repositories, "notes": notes}


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
    return table
