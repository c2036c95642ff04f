"""A chat endpoint on a real loopback socket that misbehaves as real ones do."""

import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class QuietServer(ThreadingHTTPServer):
    """Says nothing of connections that a client gave up."""

    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


def completion(content, finish="stop", usage=(7, 3), **message):
    """The body of a good answer; ``usage`` None leaves the token counts out."""
    body: dict[str, Any] = {
        "choices": [{"message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}]
    }
    if usage is not None:
        body["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
    return body


def ok(content, **options):
    """Answer 200; ``content`` is a text or a JSON value."""
    text = content if isinstance(content, str) else json.dumps(content)
    return status(200, completion(text, **options))


def status(code, body="", **headers):
    """Answer with a status, a body (text or JSON value) and headers (underscores are dashes)."""
    data = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else json.dumps(body).encode()

    def act(handler):
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), str(value))
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return act


def hang(seconds):
    """Accept the request and say nothing for a while."""
    return lambda _: time.sleep(seconds)


def later(seconds, act):
    """Do it after a while."""

    def wait(handler):
        time.sleep(seconds)
        act(handler)

    return wait


def reset_mid_body(handler):
    """Announce more than is sent, then reset the connection."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(handler.connection.detach())  # close() would wait for the handler's own files


class ChatServer:
    """``reply(number, body)`` gives what to do with the number-th request (from 0)."""

    def __init__(self, reply: Callable[[int, dict], Callable]):
        self.bodies: list[dict] = []
        self.headers: list[dict] = []
        self.in_flight = self.most_in_flight = 0
        lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    number = len(server.bodies)
                    server.bodies.append(body)
                    server.headers.append({**self.headers, "path": self.path})
                    server.in_flight += 1
                    server.most_in_flight = max(server.most_in_flight, server.in_flight)
                try:
                    reply(number, body)(self)
                except OSError:
                    self.close_connection = True  # the client went away first
                finally:
                    with lock:
                        server.in_flight -= 1

            def log_message(self, *_):
                pass

        self.http = QuietServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"

    @property
    def prompts(self) -> list[str]:
        """The last message of every request."""
        return [body["messages"][-1]["content"] for body in self.bodies]


@contextmanager
def serving(reply):
    """A running server; ``reply`` is a function, or a list whose last entry repeats."""
    script = reply if callable(reply) else lambda number, _: reply[min(number, len(reply) - 1)]
    server = ChatServer(script)
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
        thread.join()
