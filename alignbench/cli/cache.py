"""`alignbench cache`: lists, deletes and checks cached embeddings and converted GGUF files."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignbench.cli.listing import table
from alignbench.files import UnfitFileError, read_regular, writing
from alignbench.paths import user_path
from alignbench.units import size_text

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from alignbench.llms.conversions import Conversion

_SHARDS = "*.safetensors"
_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class StoredModel:
    """The embeddings of one model under one preprocessing.

    Args:
        folder: the folder of the files.
        model: the name of the model.
        shards: the files.
        size: the size of the files in bytes.
        used: when the last file was written, in seconds since the epoch.
    """

    folder: Path
    model: str
    shards: tuple[Path, ...]
    size: int
    used: float


def add_commands(commands: Any) -> None:
    """Add the command and its three actions."""
    parser = commands.add_parser(
        "cache",
        help="list, delete and check embeddings and converted GGUF files on the disk",
        description="List, delete and check what earlier runs keep on the disk: embeddings and converted "
        "GGUF files.",
    )
    parser.add_argument(
        "--cache-dir",
        metavar="DIR",
        help="a folder of embeddings, without conversions (default: both, in ALIGNBENCH_CACHE)",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    actions.add_parser("size", help="list the size of each model's files").set_defaults(run=size)
    pruning = actions.add_parser(
        "prune", help="delete old or unusable files, which are computed again when they are needed"
    )
    pruning.add_argument(
        "--days", type=float, default=30.0, help="the age of old files in days (default: 30)"
    )
    pruning.add_argument("--all", action="store_true", help="delete all files")
    pruning.add_argument("--dry-run", action="store_true", help="list the files, but delete none")
    pruning.set_defaults(run=prune)
    verifying = actions.add_parser("verify", help="read every file and compare it with its checksum")
    verifying.set_defaults(run=verify)


def size(arguments: argparse.Namespace) -> int:
    """Print the size of the files."""
    root = _root(arguments)
    if models := _stored_models(root):
        rows = [(model.model, size_text(model.size), _date(model.used)) for model in models]
        print("\n".join(table(("model", "size", "written"), rows)))
    print(f"{size_text(sum(model.size for model in models))} in {root}")
    if conversions := _conversions(arguments):
        rows = [(file.source, size_text(file.size), _date(file.written)) for file in conversions]
        print("\n".join(table(("GGUF file", "size", "written"), rows)))
        total = size_text(sum(file.size for file in conversions))
        print(f"{total} of conversions in {conversions[0].folder.parent}")
    return 0


def prune(arguments: argparse.Namespace) -> int:
    """Delete old or unusable files."""
    before = time.time() - arguments.days * _DAY
    old = [
        (model.model, model.folder, model.size)
        for model in _stored_models(_root(arguments))
        if arguments.all or model.used < before
    ]
    old += [
        (file.source, file.folder, file.size)
        for file in _conversions(arguments)
        if arguments.all or file.written < before or not (file.usable or file.in_progress)
    ]
    for name, folder, length in old:
        print(f"{'would delete' if arguments.dry_run else 'deleting'}  {name}  {size_text(length)}  {folder}")
        if not arguments.dry_run:
            with writing(folder):
                shutil.rmtree(folder)
    freed = size_text(sum(length for _, _, length in old))
    print(f"{freed} {'would be freed' if arguments.dry_run else 'freed'}")
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """Read every file; exit with 1 if one is damaged."""
    shards = [shard for model in _stored_models(_root(arguments)) for shard in model.shards]
    damaged = {shard: why for shard in shards if (why := _damage(shard))}
    for shard, why in damaged.items():
        print(f"damaged: {shard}: {why}; the next run computes its embeddings anew")
    print(f"{len(shards)} shards read, {len(damaged)} damaged")
    conversions = [file for file in _conversions(arguments) if file.usable]
    damaged_files = [path for file in conversions for path in file.damaged()]
    for path in damaged_files:
        print(f"damaged: {path}: its sha256 is not the recorded one; the next run converts the file anew")
    if conversions:
        print(f"{len(conversions)} conversions read, {len(damaged_files)} of their files damaged")
    return int(bool(damaged or damaged_files))


def _conversions(arguments: argparse.Namespace) -> list[Conversion]:
    from alignbench.llms import conversions

    return [] if arguments.cache_dir is not None else conversions.held()


def _damage(shard: Path) -> str | None:
    """Return what is wrong with a shard; None if nothing is."""
    try:
        content = read_regular(shard)
    except (OSError, UnfitFileError) as error:
        return f"it can't be read ({getattr(error, 'strerror', None) or error})"
    return None if hashlib.sha256(content).hexdigest() == shard.stem else "its sha256 is not its name"


def _root(arguments: argparse.Namespace) -> Path:
    from alignbench.embed import default_root

    return default_root() if arguments.cache_dir is None else user_path(arguments.cache_dir, "--cache-dir")


def _stored_models(root: Path) -> list[StoredModel]:
    """Return the models whose embeddings are in the store, the largest first."""
    models = []
    for key in sorted(root.glob("*/*/key.json")):
        shards = tuple(sorted(key.parent.glob(_SHARDS)))
        stats = [shard.stat() for shard in shards]
        models.append(
            StoredModel(
                key.parent,
                _model(key),
                shards,
                sum(stat.st_size for stat in stats),
                max((stat.st_mtime for stat in stats), default=key.stat().st_mtime),
            )
        )
    return sorted(models, key=lambda model: (-model.size, model.model))


def _model(key: Path) -> str:
    try:
        content = json.loads(read_regular(key))
    except (OSError, ValueError, RecursionError):
        return "unknown"
    if not isinstance(content, dict):
        return "unknown"
    parts = [str(content[name]) for name in ("source", "output", "dtype") if name in content]
    if content.get("patches"):
        parts.append("patches")
    return ", ".join(parts) or "unknown"


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
