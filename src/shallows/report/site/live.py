"""The atlas page served to this machine alone, with points at any size.

A person who asks for k = 123 gets what `shallows family` would compute, and its proof.
"""

import dataclasses
import errno
import json
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from shallows.atlas.site import SiteData
from shallows.atlas.site_data import shown_point
from shallows.report.site import site_page

_HOST = "127.0.0.1"
# The precision of balls belongs to the process, and a browser asks several things at once.
_ONE_AT_A_TIME = threading.Lock()


class LiveSite(ThreadingHTTPServer):
    """A server at http://127.0.0.1:port/ of the page that it was last shown.

    `port` 0 takes one that is free, see `server_port`; call `serve_forever`. `/point?name=II&k=123`
    answers with a `ShownPoint`, or with `{"error": …}` that says what is wrong; whole numbers
    beyond 2⁵³ are text there.

    **Raises.** `ValueError` for a port that is none, taken, or not allowed.
    """

    page = b""

    def __init__(self, port: int):
        if not 0 <= port <= 65_535:
            raise ValueError(f"A port is from 0 to 65535, but is {port}. Use e.g. `--port 8000`.")
        try:
            super().__init__((_HOST, port), _Handler)
        except OSError as error:
            why = {errno.EADDRINUSE: "is in use", errno.EACCES: "is not allowed"}.get(
                error.errno or 0, f"cannot be used ({error.strerror})"
            )
            raise ValueError(
                f"Port {port} {why}. Choose another with `--port`, or 0 for any that is free."
            ) from None

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://{_HOST}:{self.server_port}/"

    def show(self, data: SiteData, *, command: str | None = None) -> None:
        """Serve this page from now on."""
        self.page = site_page(data, command=command, live=True).encode()


class _Handler(BaseHTTPRequestHandler):
    """Answers with the page, or with a point."""

    def do_GET(self) -> None:
        # A name of another host that leads here would let its pages read ours.
        host = (self.headers.get("Host") or "").rpartition(":")[0]
        asked = urlsplit(self.path)
        if host not in ("localhost", _HOST):
            self._send(HTTPStatus.FORBIDDEN, b"This server answers to localhost only.")
        elif asked.path == "/" and isinstance(self.server, LiveSite):
            self._send(HTTPStatus.OK, self.server.page, "text/html")
        elif asked.path == "/point":
            self._send(HTTPStatus.OK, _point(asked.query), "application/json")
        else:
            self._send(HTTPStatus.NOT_FOUND, b"There is a page at / and points at /point.")

    def _send(self, status: HTTPStatus, body: bytes, kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: standard error is for what the reader has to know."""


def _point(query: str) -> bytes:
    asked = parse_qs(query)
    try:
        name, text = asked["name"][0], asked["k"][0]
        if not text.isascii() or not text.isdigit():
            raise ValueError(f"k is a whole number, but is {text!r}. Use e.g. 123.")
        if not 6 <= int(text) <= 10**12:
            raise ValueError(f"k is from 6 to 10¹², but is {text}. Use e.g. 123.")
        with _ONE_AT_A_TIME:
            found = dataclasses.asdict(shown_point(name, int(text)))
    except KeyError as missing:
        found = {"error": f"A point has {missing}. Ask for e.g. /point?name=II&k=123."}
    except ValueError as error:
        found = {"error": str(error)}
    return json.dumps(_whole(found), ensure_ascii=False, allow_nan=False).encode()


def _whole(value: Any) -> Any:
    # A browser rounds whole numbers beyond 2⁵³, and there are k² eigenvalues to count: as text.
    if isinstance(value, dict):
        return {key: _whole(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(one) for one in value]
    return str(value) if type(value) is int and value > 2**53 else value
