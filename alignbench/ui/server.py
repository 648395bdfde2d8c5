"""Serves the page: by default to this machine only, one job at a time, and with nothing from elsewhere."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from alignbench.errors import ConfigError
from alignbench.ui.folder import claimed_folder
from alignbench.ui.guard import Guard, is_local, names_of_machine
from alignbench.ui.uploads import MAX_FILE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
    from pathlib import Path

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Any]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

INSTALL = "the page needs gradio: pip install 'alignbench[ui]'"
# Gradio's scripts are inline, and its plots compile expressions with eval.
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "worker-src 'self' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
SESSIONS = 64
"""The number of visitors whose state is kept; gradio keeps a copy of all controls for each of them."""


class Policy:
    """Adds to every answer the headers that isolate the page from other origins."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        await self.app(scope, receive, with_headers)


def serve(
    given: Mapping[str, Any], *, host: str, port: int | None, browser: bool, names: Sequence[str] = ()
) -> int:
    """Serve the page until the user interrupts it; return the exit status.

    Args:
        given: the options of the command, which apply to every run.
        host: the address to listen on.
        port: the port; None for a free one from 7860 on.
        browser: whether to open the page in the browser.
        names: further names under which the page may be opened.

    Raises:
        ConfigError: gradio is missing, or the server can't listen there.
        AlignbenchError: there is no data.
    """
    # Set before the folder is created, so that SIGTERM also removes the folder.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), claimed_folder() as place:
        page, url = start(given, host=host, port=port, browser=browser, folder=place, names=names)
        print(f"alignbench ui: {url} (Ctrl-C ends it)", flush=True)
        if not is_local(host):
            print(f"alignbench ui: whoever reaches {host} may use it: it asks for no password", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print()
        finally:
            page.close(verbose=False)
    return 0


def start(
    given: Mapping[str, Any],
    *,
    host: str,
    port: int | None,
    browser: bool,
    folder: Path,
    names: Sequence[str] = (),
) -> tuple[Any, str]:
    """Start the server in a thread; return the page and its address.

    Args:
        given: see `serve`.
        host: see `serve`.
        port: see `serve`.
        browser: see `serve`.
        folder: a folder for uploads and results, private to this server.
        names: see `serve`.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    try:
        import gradio  # noqa: F401
        from starlette.middleware import Middleware
    except ImportError as error:
        if (error.name or "").partition(".")[0] in {"gradio", "starlette"}:
            raise ConfigError(INSTALL) from error
        raise
    from alignbench.ui.app import App
    from alignbench.ui.menu import Menu
    from alignbench.ui.page import build_page, css, theme

    page = build_page(App(Menu(dict(given)), folder))
    known = names_of_machine(host) | {name.lower() for name in names}
    middleware = [Middleware(Policy), Middleware(Guard, host=host, names=known)]
    try:
        _, url, _ = page.launch(
            server_name=host,
            server_port=port,
            inbrowser=browser,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            allowed_paths=[],
            max_file_size=MAX_FILE,
            show_error=True,
            ssr_mode=False,
            mcp_server=False,
            pwa=False,
            enable_monitoring=False,
            state_session_capacity=SESSIONS,
            footer_links=[],
            strict_cors=True,
            theme=theme(),
            css=css(),
            # Otherwise gradio requests its own page, and gives up if a busy machine takes 3 seconds for it.
            _frontend=False,
            app_kwargs={"middleware": middleware, "docs_url": None, "redoc_url": None},
        )
    except OSError as error:
        raise ConfigError(f"can't listen on {host}, port {port or 'from 7860 on'}: {error}") from error
    threading.Thread(target=_warm, name="alignbench-warm", daemon=True).start()
    return page, str(url)


def _warm() -> None:
    """Import what the first run needs, under the lock, because concurrent imports of transformers fail."""
    from alignbench.ui.jobs import DEVICE

    with DEVICE, suppress(ImportError):  # the first run reports it better
        import torch  # noqa: F401
        import transformers  # noqa: F401
