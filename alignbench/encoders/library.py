"""Models that timm and open_clip build by name, and the places of their weights."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alignbench.encoders import timm_names
from alignbench.errors import ModelError, WeightsMissingError
from alignbench.paths import is_file, user_path
from alignbench.registry import unknown
from alignbench.weights.files import OPEN_CLIP
from alignbench.weights.source import AskedSource, FileSource, HubSource

if TYPE_CHECKING:
    from alignbench.weights.source import Location, Source
    from alignbench.weights.spec import Spec

_CHECKPOINTS = (".safetensors", ".bin", ".pt", ".pth")


def timm_source(parsed: Spec, *, allow_pickle: bool) -> Source:
    """Return the source of `timm:name[@checkpoint]`: a file, a tag, or the name's own default.

    Raises:
        WeightsMissingError: the file is not there.
        ModelError: the file is a pickle and that is not allowed.
    """
    name, at = parsed.target, parsed.detail
    label = f"timm:{name}" + (f"@{at}" if at else "")
    if at and _is_file(at):
        file, notes = _checkpoint(at, allow_pickle=allow_pickle), timm_names.notes_of_file(name)
        return FileSource(file, label + parsed.pixels, {"architecture": name}, notes)
    if not at and "." not in name:
        return AskedSource(
            label,
            lambda: _timm_default(name, parsed.alias, allow_pickle=allow_pickle),
            {"architecture": name},
        )
    tagged = f"{name}.{at}" if at else name
    repository, settings = timm_names.repository_of(tagged), {"architecture": tagged.partition(".")[0]}
    source = TimmSource(
        repository,
        None,
        parsed.alias,
        allow_pickle=allow_pickle,
        notes=timm_names.notes_of(tagged),
        settings=settings,
    )
    if repository == f"timm/{tagged}":
        return source
    # The repository also serves another name, and its configuration has that one's architecture.
    return AskedSource(f"timm:{tagged}", lambda: source, settings)


@dataclass(frozen=True)
class TimmSource(HubSource):
    """A repository of timm: if it can't be found, timm is asked whether it has such a name at all."""

    def locate(self, wanted: tuple[str, ...] | None = None) -> Location:
        """Look in the local cache, then ask the Hub, then timm."""
        try:
            return super().locate(wanted)
        except WeightsMissingError:
            from alignbench.encoders.timm_models import check_architecture

            check_architecture(str(self.settings["architecture"]), self.name)
            raise


def open_clip_source(parsed: Spec, *, allow_pickle: bool) -> Source:
    """Return the source of `open_clip:model/tag`; the tag may be a checkpoint file.

    Raises:
        WeightsMissingError: the file is not there.
        ModelError: the file is a pickle and that is not allowed.
    """
    name, tag = parsed.target, str(parsed.detail)
    label = f"open_clip:{name}/{tag}"
    settings = {"open_clip_model": name}
    if _is_file(tag):
        file = _checkpoint(tag, allow_pickle=allow_pickle)
        return FileSource(file, label, settings, _notes_of_open_clip_file(name))
    return AskedSource(
        label,
        lambda: _open_clip_tag(name, tag, parsed.alias, allow_pickle=allow_pickle),
        {**settings, "open_clip_tag": tag},
    )


def _is_file(text: str) -> bool:
    return text.endswith(_CHECKPOINTS) or is_file(user_path(text, "a checkpoint"))


def _checkpoint(text: str, *, allow_pickle: bool) -> Path:
    path = user_path(text, "a checkpoint")
    if not is_file(path):
        raise WeightsMissingError(f"there is no checkpoint {path}")
    if path.suffix != ".safetensors" and not allow_pickle:
        raise ModelError(
            f"{path}: a pickle, which may run code when read; convert it (`alignbench convert` does that for "
            f"models of timm), or give --align-allow-pickle"
        )
    return path


def _notes_of_open_clip_file(name: str) -> tuple[str, ...]:
    """Return notes about a file under a name for which open_clip has a variant with QuickGELU."""
    # Its architectures are files: asking the package itself would import torch.
    package = importlib.util.find_spec("open_clip")
    folders = [] if package is None else list(package.submodule_search_locations or ())
    variant = f"{name}-quickgelu"
    if not any((Path(folder) / "model_configs" / f"{variant}.json").is_file() for folder in folders):
        return ()
    return (timm_names.note_of_descent(f"open_clip:{variant}/FILE"),)


def _timm_default(name: str, alias: str, *, allow_pickle: bool) -> Source:
    import timm

    from alignbench.encoders.timm_models import check_architecture

    check_architecture(name, alias)
    settings = timm.get_pretrained_cfg(name)
    if settings is None or not settings.hf_hub_id:
        raise WeightsMissingError(
            f"{alias}: timm has no weights of {name}; give timm:{name}@file.safetensors"
        )
    repository, tagged = settings.hf_hub_id, f"{settings.architecture}.{settings.tag}"
    if repository.endswith("/"):
        repository += tagged
    notes = timm_names.quickgelu_notes(tagged, settings.notes)
    return HubSource(repository, None, alias, allow_pickle=allow_pickle, notes=notes)


def _open_clip_tag(name: str, tag: str, alias: str, *, allow_pickle: bool) -> Source:
    import open_clip

    if name not in open_clip.list_models():
        raise ModelError(unknown("open_clip model", name, dict.fromkeys(open_clip.list_models())))
    settings = open_clip.get_pretrained_cfg(name, tag)
    if not settings:
        tags = dict.fromkeys(open_clip.list_pretrained_tags_by_model(name))
        raise ModelError(unknown(f"tag of open_clip's {name}", tag, tags))
    if not settings.get("hf_hub"):
        raise WeightsMissingError(f"{alias}: open_clip has {name}/{tag} as a pickle only; choose another tag")
    repository = str(settings["hf_hub"]).strip("/")
    return HubSource(
        "/".join(repository.split("/")[:2]), None, alias, allow_pickle=allow_pickle, prefer=OPEN_CLIP
    )
