"""What the page's server refuses before gradio sees it: other origins, too much data, broken text.

A browser sends a request to this machine for any page that asks it to, and a request whose answer the page
may not read has done its work all the same. So the server looks at what a page can't forge: the `Host` that
the browser resolved, the `Origin` that asked, and `Sec-Fetch-Site`.
"""

from __future__ import annotations

import ipaddress
import json
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from alignbench.errors import InputError
from alignbench.ui.texts import check_texts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

MAX_UPLOADS = 2**30
"""Bytes that the page takes in uploads from its start to its end, whoever sends them."""
MAX_BODY = 2**20
"""Bytes of any other request: what the controls can hold is far less."""
_PORTS = {"http": 80, "https": 443}
_WITH_BODY = {"POST", "PUT", "PATCH", "DELETE"}


class Refusal(Exception):  # noqa: N818 (an answer, not a fault)
    """A request gets this answer and goes no further.

    Args:
        status: of HTTP.
        text: what is said.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass
class Quota:
    """How many bytes of uploads are still taken.

    Args:
        most: in all.
        taken: so far.
    """

    most: int = MAX_UPLOADS
    taken: int = 0

    def check(self, more: int) -> None:
        """Refuse what would exceed it.

        Raises:
            Refusal: it would.
        """
        if self.taken + more > self.most:
            raise Refusal(
                413,
                f"this page has taken {self.taken:,} of at most {self.most:,} bytes of uploads since it was "
                "started; start alignbench ui again to upload more",
            )

    def take(self, more: int) -> None:
        """Count bytes that came.

        Raises:
            Refusal: they exceed it.
        """
        self.check(more)
        self.taken += more


def names_of_machine(host: str) -> frozenset[str]:
    """Return the names by which a page that listens on `host` may be opened, beside its addresses."""
    names = {host.strip("[]").lower(), "localhost"}
    if not is_local(host):
        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    return frozenset(names)


def is_local(host: str) -> bool:
    """Whether only this machine reaches a server that listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Guard:
    """An ASGI application in front of gradio's.

    Args:
        app: gradio's.
        host: the address that the server listens on.
        names: by which the page may be opened; see `names_of_machine`.
        quota: of all uploads.
    """

    app: App
    host: str
    names: frozenset[str]
    quota: Quota = field(default_factory=Quota)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        answer = _Answer(send)
        try:
            self._check_source(scope, headers)
            if scope["type"] == "websocket" or scope["method"] not in _WITH_BODY:
                await self.app(scope, receive, send)
            elif scope["path"].rstrip("/").endswith("/upload"):
                self.quota.check(_length(headers))
                await self._upload(scope, receive, answer)
            else:
                body = await _body(receive, _length(headers))
                _check_body(body)
                await self.app(scope, _BodyReplay(body, receive), send)
        except Refusal as refused:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008, "reason": str(refused)})
            elif not answer.begun:
                await _say(send, refused)

    async def _upload(self, scope: MutableMapping[str, Any], receive: Receive, answer: _Answer) -> None:
        try:
            await self.app(scope, _BodyMeter(receive, self.quota, answer), answer)
        except Exception:
            if answer.refused is None:
                raise
        if answer.refused is not None:  # to gradio, the client had gone
            raise answer.refused

    def _check_source(self, scope: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        """Refuse a request that a page of another origin asked for.

        Raises:
            Refusal: it is one, or its host is no name of this machine.
        """
        host = headers.get("host", "")
        name = _hostname(host)
        if not self._is_ours(name):
            raise Refusal(421, f"{name or 'no host'}: this page is not served under this name")
        origin = headers.get("origin")
        if origin is not None and _netloc(origin) not in _netlocs(host):
            raise Refusal(403, f"a page of {origin} may not use this one")
        # A link to the page is followed wherever it stands; nothing else is loaded for another page.
        follows = headers.get("sec-fetch-mode") == "navigate" and scope.get("method") in {"GET", "HEAD"}
        if headers.get("sec-fetch-site") in {"cross-site", "same-site"} and not follows:
            raise Refusal(403, "a page of another origin may not use this one")

    def _is_ours(self, name: str) -> bool:
        if name in self.names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # No other page can have an address as its name in a browser, so no name is made to mean it.
        return address.is_loopback or not is_local(self.host)


class _Answer:
    """Sends gradio's answer on, unless the request was refused while it came.

    Args:
        send: the server's.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False
        self.refused: Refusal | None = None

    async def __call__(self, message: Message) -> None:
        if self.refused is None:
            self.begun = True
            await self._send(message)


class _BodyMeter:
    """Receives the body of an upload as far as the quota goes; after it the client is as good as gone."""

    def __init__(self, receive: Receive, quota: Quota, answer: _Answer) -> None:
        self._receive, self._quota, self._answer = receive, quota, answer

    async def __call__(self) -> Message:
        message = await self._receive()
        try:
            self._quota.take(len(message.get("body", b"")))
        except Refusal as refused:
            self._answer.refused = refused
            return {"type": "http.disconnect"}
        return message


class _BodyReplay:
    """Gives a body that was read before, then what the server says of the connection."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


async def _body(receive: Receive, length: int) -> bytes:
    """Return a request's body.

    Raises:
        Refusal: it is too large.
    """
    body = b""
    more = True
    while more:
        if max(length, len(body)) > MAX_BODY:
            raise Refusal(413, f"a request of more than {MAX_BODY:,} bytes is not taken")
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False) and message["type"] == "http.request"
    if len(body) > MAX_BODY:
        raise Refusal(413, f"a request of more than {MAX_BODY:,} bytes is not taken")
    return body


def _check_body(body: bytes) -> None:
    """Refuse text that no file, no JSON and no model can take, wherever in a request it stands.

    Raises:
        Refusal: there is some.
    """
    try:
        check_texts(json.loads(body))
    except InputError as error:
        raise Refusal(422, str(error)) from error
    except (ValueError, RecursionError):
        return  # gradio says better what is wrong with its JSON


def _length(headers: Mapping[str, str]) -> int:
    try:
        return int(headers.get("content-length", "0"))
    except ValueError:
        return 0


def _hostname(host: str) -> str:
    """Return the name in a `Host`, without its port; "" where it is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:  # half a bracket, or characters that stand for others in an address
        return ""


def _netloc(origin: str) -> str:
    """Return host and port of an origin; "" of `null` and of what is none."""
    try:
        parts = urlsplit(origin)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return ""
    return f"{parts.hostname}:{port}" if parts.hostname else ""


def _netlocs(host: str) -> set[str]:
    """Return what the host of a request is with each scheme: a proxy may speak another to the browser."""
    return {_netloc(f"{scheme}://{host}") for scheme in _PORTS} - {""}


async def _say(send: Send, refused: Refusal) -> None:
    body = json.dumps({"detail": str(refused)}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
