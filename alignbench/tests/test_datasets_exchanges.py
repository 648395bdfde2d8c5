"""Which question and answer of a conversation belong to its image."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from alignbench.tests.data_files import (
    GOOD,
    IMAGES,
    line,
    load_with,
    the_reason,
)

if TYPE_CHECKING:
    from pathlib import Path


def said(role: str, text: str = "", image: str | None = None) -> dict[str, Any]:
    """A message; with an image, its content is a list of parts."""
    if image is None:
        return {"role": role, "content": text}
    return {"role": role, "content": [{"type": "image", "image": image}, {"type": "text", "text": text}]}


IMAGE = "chart/good.png"
GREETING = [said("user", "Hi"), said("assistant", "Send a picture.")]
LATER = [said("user", "Which kind?"), said("assistant", "A bar chart.")]


@pytest.mark.parametrize(
    ("messages", "question", "answer", "later"),
    [
        pytest.param(
            [*GREETING, said("user", "What?", IMAGE), said("assistant", "Corn."), *LATER],
            "What?",
            "Corn.",
            [("Which kind?", "A bar chart.")],
            id="in the middle of several exchanges",
        ),
        pytest.param(
            [*GREETING, *LATER, said("user", "What?", IMAGE), said("assistant", "Corn.")],
            "What?",
            "Corn.",
            [],
            id="in the last exchange",
        ),
        pytest.param(
            [*GREETING, said("user", "Look:"), said("user", "What?", IMAGE), said("assistant", "Corn.")],
            "Look:\nWhat?",
            "Corn.",
            [],
            id="in the second of two questions",
        ),
        pytest.param(
            [*GREETING, said("user", "", IMAGE), said("user", "What?"), said("assistant", "Corn.")],
            "What?",
            "Corn.",
            [],
            id="before its question",
        ),
        pytest.param(
            [
                *GREETING,
                said("system", "a new page", IMAGE),
                said("user", "What?"),
                said("assistant", "Corn."),
            ],
            "What?",
            "Corn.",
            [],
            id="in a system message between exchanges",
        ),
        pytest.param(
            [said("system", "", IMAGE), said("user", "What?"), said("assistant", "Corn."), *LATER],
            "What?",
            "Corn.",
            [("Which kind?", "A bar chart.")],
            id="in a system message before all",
        ),
        pytest.param(
            [*GREETING, said("user", "Draw corn."), said("assistant", "Corn by year.", IMAGE), *LATER],
            "Draw corn.",
            "Corn by year.",
            [("Which kind?", "A bar chart.")],
            id="in an answer",
        ),
        pytest.param(
            [said("user", "What?", IMAGE), said("assistant", "Corn."), said("user", "Again?", IMAGE)],
            "What?",
            "Corn.",
            [],
            id="in two messages",
        ),
    ],
)
def test_the_pair_is_the_first_exchange_at_or_after_the_image(
    tmp_path: Path, messages: list[Any], question: str, answer: str, later: list[tuple[str, str]]
) -> None:
    (sample,) = load_with(tmp_path, json.dumps({"messages": messages})).samples
    assert (sample.question, sample.texts) == (question, (answer,))
    assert sample.exchanges == tuple(later)


def test_an_image_after_the_last_answer_has_none(tmp_path: Path) -> None:
    row = json.dumps({"messages": [*GREETING, said("user", "And this?", "chart/other.png")]})
    assert the_reason(load_with(tmp_path / "a", row, GOOD)) == "no answer at or after its image"
    asked = load_with(tmp_path / "b", row, text_field="question").samples
    assert [sample.text for sample in asked] == ["And this?"]


def test_images_listed_beside_the_messages_are_not_guessed_between(tmp_path: Path) -> None:
    marked = {"messages": [said("user", "<image>What?"), said("assistant", "Corn.")]}
    one = json.dumps(marked | {"images": ["chart/other.png"]})
    (sample, _) = load_with(tmp_path / "a", one, GOOD).samples
    assert (sample.question, sample.text) == ("What?", "Corn.")
    assert sample.image_bytes() == IMAGES["chart/other.png"]
    named = json.loads(line("chart/other.png"))
    two = json.dumps(named | {"images": ["chart/other.png", "chart/good.png"]})
    assert the_reason(load_with(tmp_path / "b", two, GOOD)) == "expected one image, got 2"
    for listed in (["chart/other.png"], "chart/other.png", ["/data/full/path/chart/other.png"]):
        same = json.dumps(named | {"images": listed})
        assert len(load_with(tmp_path / "c", same, GOOD)) == 2
    for listed in (["chart/good.png"], "chart/good.png"):
        other = json.dumps(named | {"images": listed})
        reason = the_reason(load_with(tmp_path / "d", other, GOOD))
        assert reason.startswith("its messages name 'chart/other.png', and 'chart/good.png' is listed beside")
