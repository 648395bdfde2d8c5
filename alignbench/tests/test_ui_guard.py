"""What the page's server refuses before gradio sees it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from alignbench.errors import ConfigError, InputError
from alignbench.ui.guard import MAX_BODY, Guard, Quota, names_of_machine
from alignbench.ui.texts import check_texts

HERE = "127.0.0.1:7860"


@dataclass
class Inner:
    """Stands where gradio stands: reads the body of each request and answers 200."""

    seen: list[bytes] = field(default_factory=list)
    fails_without_client: bool = True

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            self.seen.append(b"")
            await send({"type": "websocket.accept"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect" and self.fails_without_client:
                raise ConnectionError("the client has gone")
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.seen.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})


def ask(
    guard: Guard,
    *chunks: bytes,
    method: str = "POST",
    path: str = "/gradio_api/queue/join",
    kind: str = "http",
    **headers: str,
) -> tuple[int, str]:
    """Send a request; return its status and what is said."""
    named = {"host": HERE, **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": kind,
        "method": method,
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
    }
    parts = chunks or (b"",)
    left = [
        {"type": "http.request", "body": chunk, "more_body": i < len(parts) - 1}
        for i, chunk in enumerate(parts)
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return left.pop(0) if left else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(guard(scope, receive, send))
    if kind == "websocket":
        return (101 if sent[0]["type"] == "websocket.accept" else sent[0]["code"]), ""
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], body.decode()


def guard_of(host: str = "127.0.0.1", quota: Quota | None = None, **inner: Any) -> tuple[Guard, Inner]:
    app = Inner(**inner)
    return Guard(app, host, names_of_machine(host), quota or Quota()), app


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://elsewhere.example"},
        {"origin": "http://127.0.0.1:3000"},
        {"origin": "http://localhost:7860"},  # another origin than 127.0.0.1:7860 to a browser
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://127.0.0.1:7860.elsewhere.example"},
        {"origin": "http://127.0.0.1:7860@elsewhere.example"},
        {"origin": "http://127.0.0.1:port"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"},
        {"sec_fetch_site": "same-site", "sec_fetch_mode": "cors"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"},  # a form that is sent from elsewhere
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/gradio_api/upload", "/gradio_api/queue/join"])
def test_a_page_of_another_origin_is_refused(headers: dict[str, str], path: str) -> None:
    guard, app = guard_of()
    status, said = ask(guard, b"{}", path=path, **headers)
    assert status == 403
    assert "may not use this one" in json.loads(said)["detail"]
    assert not app.seen


@pytest.mark.parametrize(
    "host", ["elsewhere.example", "elsewhere.example:7860", "", "10.0.0.7:7860", "[::2]", "[", "[::1"]
)
def test_a_name_that_is_made_to_mean_this_machine_gets_no_answer(host: str) -> None:
    for kind, method in (("http", "GET"), ("http", "POST"), ("websocket", "GET")):
        guard, app = guard_of()
        status, _ = ask(guard, kind=kind, method=method, host=host, origin=f"http://{host}")
        assert status == (421 if kind == "http" else 1008)
        assert not app.seen


@pytest.mark.parametrize(
    "headers",
    [
        {},  # a program, which sends none of this
        {"origin": f"http://{HERE}", "sec_fetch_site": "same-origin", "sec_fetch_mode": "cors"},
        {"host": "localhost:7860", "origin": "http://localhost:7860"},
        {"host": "LOCALHOST:9000", "origin": "http://localhost:9000"},  # through a tunnel
        {"host": "[::1]:7860", "origin": "http://[::1]:7860"},
        {"host": "localhost", "origin": "https://localhost"},  # through a proxy that speaks TLS
    ],
    ids=str,
)
def test_the_page_itself_and_programs_are_served(headers: dict[str, str]) -> None:
    guard, app = guard_of()
    assert ask(guard, b'{"data": [', '"ä"]}'.encode(), **headers) == (200, "ok")
    assert app.seen == ['{"data": ["ä"]}'.encode()]


def test_a_link_from_elsewhere_opens_the_page() -> None:
    guard, _ = guard_of()
    headers = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    assert ask(guard, method="GET", path="/", **headers) == (200, "ok")
    assert ask(guard, method="GET", path="/", sec_fetch_site="cross-site", sec_fetch_mode="no-cors")[0] == 403


def test_a_websocket_of_another_origin_is_refused() -> None:
    guard, app = guard_of()
    assert ask(guard, kind="websocket", origin="http://elsewhere.example")[0] == 1008
    assert ask(guard, kind="websocket", origin=f"http://{HERE}")[0] == 101
    assert len(app.seen) == 1


def test_a_page_for_others_goes_by_its_addresses_and_names() -> None:
    guard, _ = guard_of("0.0.0.0")
    for host in ("10.0.0.7:7860", "[fe80::1]:7860", f"{next(iter(names_of_machine('0.0.0.0')))}:7860"):
        assert ask(guard, b"{}", host=host, origin=f"http://{host}")[0] == 200
    assert ask(guard, b"{}", host="elsewhere.example:7860")[0] == 421


def test_uploads_have_a_quota_for_the_life_of_the_page() -> None:
    guard, app = guard_of(quota=Quota(most=100))
    upload = {"path": "/gradio_api/upload"}
    assert ask(guard, b"x" * 30, b"x" * 30, **upload)[0] == 200
    status, said = ask(guard, b"x" * 30, content_length="41", **upload)
    assert status == 413
    assert "60 of at most 100 bytes" in said
    assert ask(guard, b"x" * 40, content_length="40", **upload)[0] == 200
    assert ask(guard, b"x", **upload)[0] == 413
    assert len(app.seen) == 2


@pytest.mark.parametrize("fails", [True, False])
def test_an_upload_that_does_not_say_its_length_is_stopped_at_the_quota(fails: bool) -> None:
    guard, _ = guard_of(quota=Quota(most=100), fails_without_client=fails)
    status, said = ask(guard, *[b"x" * 30] * 9, path="/gradio_api/upload/")
    assert status == 413
    assert "start alignbench ui again" in said


@pytest.mark.parametrize("headers", [{}, {"content_length": str(MAX_BODY + 1)}])
def test_any_other_request_is_small(headers: dict[str, str]) -> None:
    guard, app = guard_of()
    assert ask(guard, *[b" " * 2**19] * 3, **headers)[0] == 413
    assert not app.seen


@pytest.mark.parametrize(
    "body",
    [rb'{"data": ["a \ud800"]}', rb'{"data": [["x", {"path": "\uDFFF"}]]}', b'{"\xed\xa0\x80": 1}'],
)
def test_half_a_character_is_refused_wherever_it_stands(body: bytes) -> None:
    guard, app = guard_of()
    status, said = ask(guard, body)
    assert status == 422
    assert "a lone surrogate" in json.loads(said)["detail"]
    assert not app.seen


@pytest.mark.parametrize("body", [rb'{"data": ["\ud83d\ude00"]}', b'{"data": [', b"[" * 10**5, b"\xff\xfe"])
def test_whole_characters_and_what_is_no_json_are_passed_on(body: bytes) -> None:
    guard, app = guard_of()
    assert ask(guard, body)[0] == 200
    assert app.seen == [body]


def test_texts_are_named_with_what_is_wrong() -> None:
    with pytest.raises(InputError, match=r"^prompts: 'a \\ud800b' holds half a character \(\\ud800"):
        check_texts(["fine", {"deep": ["a \ud800b"]}], "prompts")
    check_texts(["😀", 3, None, {"ä": True}])


def test_a_field_refuses_half_a_character() -> None:
    fields = pytest.importorskip("alignbench.ui.fields", reason="the extra `ui` is not installed")
    with pytest.raises((ConfigError, InputError), match="texts to look for"):
        fields._lines("a dog\n\udc00")
