"""Hands on what another server says, its pages altered: so that a test can look at a page from inside."""

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def altered(url: str, change: Callable[[str], str]) -> Iterator[str]:
    """A base URL under which every GET is answered as by `url`, HTML changed on its way."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                with urllib.request.urlopen(f"{url}{self.path}", timeout=20) as answer:
                    body, kind = answer.read(), answer.headers.get("Content-Type", "")
            except urllib.error.HTTPError as error:
                error.close()
                self.send_error(error.code)
                return
            if kind.startswith("text/html"):
                body = change(body.decode()).encode()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join(10)
