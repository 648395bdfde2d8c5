"""`alignbench cache`: how large embeddings and conversions are, what can go, and whether they are whole."""

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
    """What the store has of one model under one preprocessing.

    Args:
        folder: of its shards.
        model: whose embeddings they are.
        shards: the files.
        size: their bytes.
        used: when the last of them was written, in seconds since the epoch.
    """

    folder: Path
    model: str
    shards: tuple[Path, ...]
    size: int
    used: float


def add_commands(commands: Any) -> None:
    """Add the command and its three parts."""
    parser = commands.add_parser(
        "cache", help="embeddings and converted GGUF files on disk: size, prune, verify"
    )
    parser.add_argument(
        "--cache-dir",
        metavar="DIR",
        help="a folder of embeddings; conversions are left alone then (default: both, in ALIGNBENCH_CACHE)",
    )
    parts = parser.add_subparsers(title="what to do", metavar="ACTION", required=True)
    parts.add_parser("size", help="how much there is of which model").set_defaults(run=size)
    pruned = parts.add_parser(
        "prune", help="delete what was written long ago, or can't be used; it is made anew if need be"
    )
    pruned.add_argument("--days", type=float, default=30.0, help="written longer ago than this (default: 30)")
    pruned.add_argument("--all", action="store_true", help="everything")
    pruned.add_argument("--dry-run", action="store_true", help="say what would go, and delete nothing")
    pruned.set_defaults(run=prune)
    parts.add_parser("verify", help="read every file and compare it with its checksum").set_defaults(
        run=verify
    )


def size(given: argparse.Namespace) -> int:
    """Print what is there."""
    root, held = _root(given), _held(_root(given))
    for line in table(("model", "size", "written"), [_row(one) for one in held]) if held else []:
        print(line)
    print(f"{size_text(sum(one.size for one in held))} in {root}")
    if made := _conversions(given):
        for line in table(("GGUF file", "size", "written"), [_made_row(one) for one in made]):
            print(line)
        print(f"{size_text(sum(one.size for one in made))} of conversions in {made[0].folder.parent}")
    return 0


def prune(given: argparse.Namespace) -> int:
    """Delete what is old."""
    before = time.time() - given.days * _DAY
    old = [
        (one.model, one.folder, one.size) for one in _held(_root(given)) if given.all or one.used < before
    ] + [
        (one.source, one.folder, one.size)
        for one in _conversions(given)
        if given.all or one.written < before or not (one.usable or one.in_progress)
    ]
    for model, folder, held in old:
        doing = "would delete" if given.dry_run else "deleting"
        print(f"{doing}  {model}  {size_text(held)}  {folder}")
        if not given.dry_run:
            with writing(folder):
                shutil.rmtree(folder)
    freed = size_text(sum(held for _, _, held in old))
    print(f"{freed} {'would be freed' if given.dry_run else 'freed'}")
    return 0


def verify(given: argparse.Namespace) -> int:
    """Read every file; exit with 1 where one is not what was written."""
    shards = [shard for one in _held(_root(given)) for shard in one.shards]
    damaged = {shard: why for shard in shards if (why := _damage(shard))}
    for shard, why in damaged.items():
        print(f"damaged: {shard}: {why}; the next run computes its embeddings anew")
    print(f"{len(shards)} shards read, {len(damaged)} damaged")
    made = [one for one in _conversions(given) if one.usable]
    spoilt = [file for one in made for file in one.damaged()]
    for file in spoilt:
        print(f"damaged: {file}: its sha256 is not the one that was noted; the next run converts anew")
    if made:
        print(f"{len(made)} conversions read, {len(spoilt)} of their files damaged")
    return int(bool(damaged or spoilt))


def _conversions(given: argparse.Namespace) -> list[Conversion]:
    from alignbench.llms import conversions

    return [] if given.cache_dir is not None else conversions.held()


def _made_row(one: Conversion) -> tuple[str, str, str]:
    return one.source, size_text(one.size), _date(one.written)


def _damage(shard: Path) -> str | None:
    """Return what is wrong with a shard; None if it is what was written."""
    try:
        content = read_regular(shard)
    except (OSError, UnfitFileError) as error:
        return f"it can't be read ({getattr(error, 'strerror', None) or error})"
    return None if hashlib.sha256(content).hexdigest() == shard.stem else "its sha256 is not its name"


def _root(given: argparse.Namespace) -> Path:
    from alignbench.embed import default_root

    return default_root() if given.cache_dir is None else user_path(given.cache_dir, "--cache-dir")


def _held(root: Path) -> list[StoredModel]:
    """Return what the store holds, the largest first."""
    found = []
    for key in sorted(root.glob("*/*/key.json")):
        shards = tuple(sorted(key.parent.glob(_SHARDS)))
        stats = [shard.stat() for shard in shards]
        found.append(
            StoredModel(
                key.parent,
                _model(key),
                shards,
                sum(stat.st_size for stat in stats),
                max((stat.st_mtime for stat in stats), default=key.stat().st_mtime),
            )
        )
    return sorted(found, key=lambda one: (-one.size, one.model))


def _model(key: Path) -> str:
    try:
        said = json.loads(read_regular(key))
    except (OSError, ValueError, RecursionError):
        return "unknown"
    if not isinstance(said, dict):
        return "unknown"
    parts = [str(said[name]) for name in ("source", "output", "dtype") if name in said]
    return ", ".join([*parts, "patches"] if said.get("patches") else parts) or "unknown"


def _row(one: StoredModel) -> tuple[str, str, str]:
    return one.model, size_text(one.size), _date(one.used)


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
