"""Conversations about an image, in the ways that people write them: `messages` and `conversations`.

A turn is `{"role": ..., "content": ...}` or `{"from": ..., "value": ...}`; its content is a text or a list of
parts. The image is named in a part, beside the conversation, or both.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING, Any, NamedTuple

from alignbench.datasets.row import clean_text, shown
from alignbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Tuples, not sets: what an untrusted record has in the place of a name may not be hashable.
_USER, _ASSISTANT = ("user", "human"), ("assistant", "gpt", "model")
_IMAGE_PARTS = ("image", "image_url", "input_image")
_IMAGE_KEYS = ("image", "path", "image_url", "url", "file", "file_name")
_BESIDE = ("images", "image", "image_path")
_UNNAMED = ""  # a part or a mark that stands for the image listed beside the conversation


class Conversation(NamedTuple):
    """What a conversation says about its image.

    Args:
        image: the image's name, or its bytes.
        question: the question of the pair's exchange, "" if there is none. The pair is the first exchange
            that contains the image, or the first after it.
        answer: that exchange's answer.
        exchanges: the later (question, answer) pairs. Exchanges before the image are not about it and are
            left out.
    """

    image: str | bytes
    question: str
    answer: str
    exchanges: tuple[tuple[str, str], ...]


def first_image(record: Any) -> str | bytes | None:
    """Return the first image of a record, at a fraction of the cost of understanding the whole record.

    Raises:
        DataError: the record has no conversation.
    """
    for turn in _turns(record):
        parts = turn.get("content", turn.get("value")) if isinstance(turn, dict) else None
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict) and part.get("type") in _IMAGE_PARTS:
                image = _image_of_part(part)
                if image is not None:
                    return image
    return next(iter(_beside(record)), None)


def read_conversation(record: Any) -> Conversation:
    """Return what a record's turns say.

    Raises:
        DataError: the record has no conversation, a turn is malformed, or there is not exactly one image.
    """
    exchanges, named = _exchanges(_turns(record))
    image = _one_image(list(named), _beside(record))
    pair = min(named.values(), default=0)
    question, answer = exchanges[pair]
    return Conversation(image, question, answer, tuple(exchanges[pair + 1 : -1]))  # the last has no answer


def image_cell(value: Any) -> str | bytes | None:
    """Return what a value says about an image: its name, its bytes, or None.

    The value is a name, a `data:` URI, bytes, a Hugging Face struct `{"bytes", "path"}`, `{"url": ...}`, or a
    list of one of these.

    Raises:
        DataError: it is none of them, or a list of several.
    """
    if isinstance(value, list | tuple):
        if len(value) > 1:
            raise DataError(f"expected one image, got {len(value)}")
        return image_cell(value[0]) if value else None
    if isinstance(value, dict):
        of = next((value[key] for key in ("bytes", *_IMAGE_KEYS) if value.get(key)), None)
        return None if isinstance(of, dict | list) else image_cell(of)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str):
        return _data_uri(value) if value.startswith("data:") else value or None
    if value is None:
        return None
    raise DataError(f"an image: expected the name of a file or its bytes, got {type(value).__name__}")


def _turns(record: Any) -> list[Any]:
    if isinstance(record, dict):
        for key in ("messages", "conversations", "conversation"):
            turns = record.get(key)
            if isinstance(turns, list):
                return turns
    raise DataError("expected an object with a list of 'messages' or 'conversations'")


def _image_of_part(part: Mapping[str, Any]) -> str | bytes | None:
    for key in _IMAGE_KEYS:
        value = part.get(key)
        if value is not None:
            return value if isinstance(value, str) and value[:5] != "data:" and value else image_cell(value)
    return None


def _beside(record: Mapping[str, Any]) -> list[str | bytes]:
    """Return the images listed beside the conversation."""
    listed: list[str | bytes] = []
    for key in _BESIDE:
        values = record.get(key)
        for value in values if isinstance(values, list | tuple) else [values]:
            image = image_cell(value)
            if image is not None and image not in listed:
                listed.append(image)
    return listed


def _one_image(named: list[str | bytes], beside: list[str | bytes]) -> str | bytes:
    """Return the record's image; refuse one whose text might belong to another image, instead of guessing."""
    inside = [image for image in named if image != _UNNAMED]
    count = max(len(inside), len(beside))
    if count != 1:
        raise DataError(f"expected one image, got {count}")
    images = inside or beside
    # The same file may be listed with its full path.
    if inside and beside and _file_name(inside[0]) != _file_name(beside[0]):
        raise DataError(
            f"its messages name {_named(inside[0])}, and {_named(beside[0])} is listed beside them: "
            "only one can be meant"
        )
    return images[0]


def _exchanges(turns: Sequence[Any]) -> tuple[list[tuple[str, str]], dict[str | bytes, int]]:
    """Return the (question, answer) pairs in order, and image -> the pair that it belongs to.

    An image belongs to the first pair that contains it or follows it. The last pair holds what was said after
    the last answer, so its own answer is empty.
    """
    exchanges: list[tuple[str, str]] = []
    images: dict[str | bytes, int] = {}
    questions: list[str] = []
    for turn in turns:
        if not isinstance(turn, dict):
            raise DataError("a message is not an object")
        text, named = _content(turn["content"] if "content" in turn else turn.get("value"))
        for image in named:
            images.setdefault(image, len(exchanges))
        role = turn.get("role", turn.get("from"))
        if role in _USER:
            questions.append(text)
        elif role in _ASSISTANT:
            exchanges.append(("\n".join(filter(None, questions)), text))
            questions = []
    exchanges.append(("\n".join(filter(None, questions)), ""))
    return exchanges, images


def _content(content: Any) -> tuple[str, list[str | bytes]]:
    """Return a turn's text and the images that it names."""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise DataError("a message's content is neither a text nor a list of parts")
    texts: list[str] = []
    images: list[str | bytes] = []
    for part in parts:
        if part.get("type") in ("text", "input_text"):
            text = part.get("text")
            if isinstance(text, str) and "<image>" in text:
                images.append(_UNNAMED)
            texts.append(clean_text(text))
        elif part.get("type") in _IMAGE_PARTS:
            image = _image_of_part(part)
            images.append(_UNNAMED if image is None else image)
    return "\n".join(filter(None, texts)), images


def _file_name(image: str | bytes) -> str | bytes:
    return PureWindowsPath(image).name if isinstance(image, str) else image  # accepts both kinds of slashes


def _named(image: str | bytes) -> str:
    return shown(image) if isinstance(image, str) else f"an image of {len(image):,} bytes"


def _data_uri(uri: str) -> bytes:
    head, comma, content = uri.partition(",")
    if not comma or not head.endswith(";base64"):
        raise DataError(f"image {shown(uri[:40])}: a data: URI without base64")
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError(f"image {shown(uri[:40])}: not base64 ({error})") from error
