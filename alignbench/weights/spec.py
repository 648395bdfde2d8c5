"""Which model is meant: `clip`, `mine=hf:org/name`, a folder, `timm:`, `gguf:`, `pip:` and others."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from alignbench.errors import ConfigError, UnknownNameError
from alignbench.paths import is_dir, user_path
from alignbench.registry import unknown

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

Kind = Literal["name", "hf", "folder", "open_clip", "timm", "gguf", "pip", "npy"]
_FORMS: Mapping[Kind, str] = {
    "name": "a name",
    "hf": "hf:org/name[@revision][#part]",
    "folder": "a folder[#part]",
    "open_clip": "open_clip:model/tag",
    "timm": "timm:name[@checkpoint]",
    "gguf": "gguf:file.gguf",
    "pip": "pip:package",
    "npy": "npy:file.npy",
}
# The kinds that only one side has.
_ONE_SIDED: Mapping[Kind, str] = {"open_clip": "encoder", "timm": "encoder", "gguf": "LLM"}

_PREFIXES: tuple[Kind, ...] = ("hf", "open_clip", "timm", "gguf", "pip", "npy")
# An alias appears in test ids, file names and tables: a colon, bracket, comma or blank breaks one of them. A
# plus joins two aliases in a test id.
_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
# The possible end of a library model's spec: how an image becomes pixels, if the library has it wrong. What
# stands behind a known entry is meant as another one, and its reader says which there are.
_PIXELS = re.compile(r"\+(?:mean|std|crop|interpolation|size)=[^+]*(?:\+\w+=[^+]*)*$")
# The parts of a VLM, and the options that take them.
PARTS: Mapping[str, str] = {"vision": "encoder", "projected": "encoder", "text": "LLM"}
_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")


@dataclass(frozen=True, slots=True)
class Spec:
    """A parsed model spec.

    Args:
        alias: the name in tables and test ids.
        kind: how `target` is to be read.
        target: a registered name, `org/name`, a path, a package, or a model of a library.
        detail: the revision of a Hub repository, open_clip's tag, timm's checkpoint.
        pixels: how an image becomes pixels, as it is written at the end of the spec: `+mean=.5+std=.5`.
        part: the part of a VLM: "vision", "projected" or "text"; "" for a whole model.
    """

    alias: str
    kind: Kind
    target: str
    detail: str | None = None
    pixels: str = ""
    part: str = ""


def parse_spec(text: str, what: str, known: Collection[str]) -> Spec:
    """Parse `[alias=]spec[#part]`, without looking at a file or using the network.

    Args:
        text: one entry of `--encoders` or `--llms`.
        what: "encoder" or "LLM", for errors.
        known: the registered names.

    Raises:
        UnknownNameError: it has none of the forms, and is not a registered name.
        ConfigError: the alias, or the name in its place, is invalid; or the part after the prefix has the
            wrong form; or the part of a VLM is unknown, or of the other side.
    """
    rest, pixels = _split_pixels(text.strip())
    alias, whole = _split_alias(rest, what)
    body, part = split_part(whole, what)
    if pixels and not body.startswith(("timm:", "open_clip:")):
        raise ConfigError(
            f"{what} {text!r}: {pixels} can be given with timm: and open_clip: only; other models say in a "
            f"file of theirs (preprocessor_config.json) how an image becomes pixels: change it there"
        )
    if body in known:
        own = f"{check_alias(body, what)}-{part}" if part else body
        return Spec(alias or check_alias(own, what), "name", body, part=part)
    prefix, colon, rest = body.partition(":")
    if colon and prefix in _PREFIXES:
        kind, target, detail = _taken_apart(prefix, rest, body, what)
    elif looks_like_path(body):
        kind, target, detail = "folder", str(user_path(body, what)), None
    else:
        raise UnknownNameError(f"{unknown(what, body, dict.fromkeys(known))}; or {_forms(what)}")
    if part and kind not in {"hf", "folder"}:
        raise ConfigError(
            f"{what} {text!r}: #{part} is a part of a VLM in a folder or a repository (hf:), and {kind}: "
            f"names no VLM; leave out #{part}"
        )
    return Spec(alias or _default_alias(kind, target, detail, part), kind, target, detail, pixels, part)


def split_part(text: str, what: str) -> tuple[str, str]:
    """Return a spec without its `#part`, and the part; "" if there is none.

    Args:
        text: a spec without alias.
        what: "encoder" or "LLM".

    Raises:
        ConfigError: there is no such part of a VLM, or it is of the other side.
    """
    body, mark, part = text.rpartition("#")
    if not mark or is_dir(text):
        return text, ""
    if part not in PARTS:
        raise ConfigError(
            f"{what} {text!r}: there is no part #{part}; the parts of a VLM are #vision (its tower), "
            f"#projected (its image tokens, in the LLM's space) and #text (its LLM)"
        )
    if PARTS[part] != what:
        option = "--encoders" if PARTS[part] == "encoder" else "--llms"
        raise ConfigError(f"{what} {text!r}: #{part} of a VLM is an {PARTS[part]}; give it to {option}")
    return body, part


def looks_like_path(text: str) -> bool:
    """Whether `text` can only be a folder: it has a separator, starts with `.` or `~`, or exists."""
    return "/" in text or "\\" in text or text.startswith((".", "~")) or is_dir(text)


def check_alias(alias: str, what: str) -> str:
    """Return `alias` if tables, test ids and file names can hold it.

    Raises:
        ConfigError: it has characters other than letters, digits and `_ . -`, or more than 40 characters.
    """
    if not _ALIAS.fullmatch(alias):
        raise ConfigError(
            f"{what} alias {alias!r}: expected up to 40 letters, digits or _ . -, a letter or digit first"
        )
    return alias


def _split_alias(text: str, what: str) -> tuple[str | None, str]:
    left, equals, right = text.partition("=")
    # `/data/lr=1e-4/model` and `hf:org/a=b` have no alias.
    if not equals or ":" in left or left.startswith(("/", ".", "~")) or is_dir(text):
        return None, text
    return check_alias(left.strip(), what), right.strip()


def _split_pixels(text: str) -> tuple[str, str]:
    found = None if is_dir(text) else _PIXELS.search(text)
    return (text, "") if found is None else (text[: found.start()], found[0])


def _taken_apart(prefix: str, rest: str, body: str, what: str) -> tuple[Kind, str, str | None]:
    kind = next(known for known in _PREFIXES if known == prefix)
    if kind in {"gguf", "pip", "npy"}:
        target, detail = rest, None
    elif kind == "open_clip":
        # The tag may itself be the absolute path of a checkpoint, so only the first slash separates.
        target, _, tag = rest.partition("/")
        detail = tag or None
    else:
        target, _, at = rest.partition("@")
        detail = at or None
    wrong = not target or (kind == "hf" and not _REPOSITORY.fullmatch(target))
    if wrong or (kind == "open_clip" and not detail):
        raise ConfigError(f"{what} {body!r}: expected {_forms(what)}")
    return kind, target, detail


def _forms(what: str) -> str:
    """Return the forms that a spec of one side can have."""
    *forms, last = [form for kind, form in _FORMS.items() if _ONE_SIDED.get(kind, what) == what]
    return f"{', '.join(forms)} or {last}"


def _default_alias(kind: Kind, target: str, detail: str | None, part: str) -> str:
    if kind == "open_clip":
        stem = f"{target}-{Path(detail or '').stem}"
    elif kind in {"gguf", "npy"}:
        stem = Path(target).stem
    elif kind in {"timm", "pip"}:
        stem = target
    else:
        stem = Path(target).resolve().name if kind == "folder" else target.rpartition("/")[2]
    end = f"-{part}" if part else ""
    return (re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip("-._")[: 40 - len(end)] or kind) + end
