"""Parsing one untrusted line of the `messages` format, and keeping image names below their root."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from alignbench.datatypes import check_type
from alignbench.errors import DataError

_MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class LabelRow:
    """The content of a line.

    Args:
        id: the line's own id, safe to display; "" if it has none.
        image: the image's name, relative to the image root.
        question: the question of the pair's exchange, "" if there is none. The pair is the first exchange
            that contains the image, or the first after it.
        answers: that exchange's answer and its further wordings.
        exchanges: the later (question, answer) pairs. Exchanges before the image are not about it and are
            left out.
    """

    id: str
    image: str
    question: str
    answers: tuple[str, ...]
    exchanges: tuple[tuple[str, str], ...]


def parse_row(line: bytes) -> LabelRow:
    """Return the content of a line.

    Raises:
        DataError: the line is invalid; the caller adds the line's place.
    """
    try:
        content = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8: byte 0x{line[error.start]:02x} at position {error.start + 1}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or not isinstance(content.get("messages"), list):
        raise DataError("expected an object with a list of 'messages'")
    exchanges, images = _conversation(content["messages"])
    _check_one_image(list(images), content.get("images"))
    ((image, pair),) = images.items()
    wordings = content.get("wordings", [])
    if not isinstance(wordings, list):
        raise DataError("'wordings' is not a list of texts")
    question, answer = exchanges[pair]
    answers = tuple(dict.fromkeys(text for text in (answer, *map(_text, wordings)) if text))
    further = tuple(exchanges[pair + 1 : -1])  # the last question has no answer
    return LabelRow(_id(content.get("id", "")), image, question, answers, further)


def resolve_under(root: Path, name: str) -> Path:
    """Return the file called `name` under `root`, with all links resolved.

    Raises:
        DataError: the name is absolute, has a `..`, or leads out of the root by a link.
    """
    check_name(name)
    try:
        resolved = (root / name).resolve()
        inside = resolved.is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(
            f"image {_shown(name)}: the path can't be followed ({' '.join(str(error).split())})"
        ) from error
    if not inside:
        raise DataError(f"image {_shown(name)}: a link leads out of the image root")
    return resolved


def check_name(name: str) -> None:
    """Refuse an image name that could lead out of its root, on this or another operating system.

    Raises:
        DataError: it is empty, absolute, or has a `..`.
    """
    if not name or "\0" in name:
        raise DataError(f"image {_shown(name)}: not a file name")
    for flavour in (PurePosixPath(name), PureWindowsPath(name)):
        if flavour.anchor:
            raise DataError(
                f"image {_shown(name)}: an absolute path; images are named relative to their root"
            )
        if ".." in flavour.parts:
            raise DataError(
                f"image {_shown(name)}: '..' in the path; images are named relative to their root"
            )


def type_of(image: str) -> str:
    """Return the data type that an image's name gives: its first folder.

    Raises:
        DataError: the name could lead out of its root, or has no folder that can be a type's name.
    """
    check_name(image)
    parts = PurePosixPath(image).parts
    if len(parts) < 2:
        raise DataError(f"image {_shown(image)}: expected <data type>/<file>")
    try:
        return check_type(parts[0])
    except DataError as error:
        raise DataError(f"image {_shown(image)}: its folder {error}") from error


def printable(text: str) -> str:
    """Return `text` with everything replaced that a terminal would obey instead of showing."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _shown(name: str) -> str:
    return repr(name if len(name) <= _MAX_NAME else name[:_MAX_NAME] + "...")


def _check_one_image(named: list[str], beside: Any) -> None:
    """Refuse a row whose text might belong to another image, instead of guessing between several.

    Args:
        named: the images named in the messages.
        beside: the row's `images` field beside its messages.
    """
    listed = beside if isinstance(beside, list) else [beside] if isinstance(beside, str) else []
    count = max(len(named), len(listed))
    if count == 1 and not named:
        raise DataError(
            "its image is listed beside the messages; name it in the message that it belongs to: "
            '{"type": "image", "image": ...}'
        )
    if count != 1:
        raise DataError(f"expected one image, got {count}")
    # The same file may be listed with its full path.
    others = [one for one in listed if isinstance(one, str) and _file_name(one) != _file_name(named[0])]
    if others:
        raise DataError(
            f"its messages name {_shown(named[0])} and its 'images' {_shown(others[0])}: "
            "only one can be meant"
        )


def _file_name(image: str) -> str:
    return PureWindowsPath(image).name  # accepts both kinds of slashes


def _conversation(messages: list[Any]) -> tuple[list[tuple[str, str]], dict[str, int]]:
    """Return the (question, answer) pairs in order, and image -> the pair that it belongs to.

    An image belongs to the first pair that contains it or follows it. The last pair holds what was said after
    the last answer, so its own answer is empty.
    """
    exchanges: list[tuple[str, str]] = []
    images: dict[str, int] = {}
    asked: list[str] = []
    for message in messages:
        if not isinstance(message, dict):
            raise DataError("a message is not an object")
        text, named = _content(message.get("content"))
        for image in named:
            images.setdefault(image, len(exchanges))
        if message.get("role") == "user":
            asked.append(text)
        elif message.get("role") == "assistant":
            exchanges.append(("\n".join(filter(None, asked)), text))
            asked = []
    exchanges.append(("\n".join(filter(None, asked)), ""))
    return exchanges, images


def _content(content: Any) -> tuple[str, list[str]]:
    """Return a message's text and the images that it names."""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise DataError("a message's content is neither a text nor a list of parts")
    texts = [_text(part.get("text")) for part in parts if part.get("type") == "text"]
    images = [part.get("image") for part in parts if part.get("type") == "image"]
    if not all(isinstance(image, str) for image in images):
        raise DataError("an image part has no 'image': expected the name of a file")
    return "\n".join(filter(None, texts)), [str(image) for image in images]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise DataError(f"expected a text, got {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        # JSON can spell half of a surrogate pair, which no encoding can write and no tokenizer can read.
        raise DataError("a text has half a surrogate pair in it") from error
    return value.strip()


def _id(value: Any) -> str:
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else None
    if text is None or len(text) > _MAX_NAME:
        raise DataError(f"expected an 'id' of at most {_MAX_NAME} characters")
    return printable(text)
