"""What of the Hugging Face Hub its client asks when a data set is read, on loopback.

``GET /api/datasets/{name}/revision/{revision}`` tells the commit, ``POST …/paths-info/{revision}`` what is at a path,
``GET …/tree/{revision}[/{folder}]`` the files below, ``/datasets/{name}/resolve/{commit}/{path}`` is a file itself.
"""

import hashlib
import json
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class Repo:
    """A data set repository: its commits, and who may read it."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    token: str | None = None
    gated: bool = False

    def commit(self, files, branch="main"):
        content = json.dumps({name: hashlib.sha1(data).hexdigest() for name, data in files.items()})
        sha = hashlib.sha1(f"{len(self.commits)} {content}".encode()).hexdigest()
        self.commits[sha] = dict(files)
        self.refs[branch] = sha
        return sha


class Hub:
    def __init__(self):
        self.repos: dict[str, Repo] = {}
        self.asked: list[tuple[str, str]] = []
        self.tokens: set[str | None] = set()
        self.break_off = 0

    def downloads(self):
        return [
            path.partition("/resolve/")[2].partition("/")[2]
            for how, path in self.asked
            if how == "GET" and "/resolve/" in path
        ]


class HubHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Any

    def do_HEAD(self):
        self._route()

    def do_GET(self):
        self._route()

    def do_POST(self):
        self._route()

    def _route(self):
        path = unquote(urlsplit(self.path).path)
        length = int(self.headers.get("Content-Length") or 0)
        self.asked = parse_qs(self.rfile.read(length).decode())
        self.hub.asked.append((self.command, path))
        self.hub.tokens.add(self.headers.get("Authorization"))
        parts = path.removeprefix("/api").removeprefix("/datasets/").split("/", 3)
        repo = self.hub.repos.get("/".join(parts[:2]))
        if repo is None:
            return self._error(404 if self.headers.get("Authorization") else 401, "RepoNotFound")
        if repo.token is not None and self.headers.get("Authorization") != f"Bearer {repo.token}":
            if repo.gated:
                return self._error(403 if self.headers.get("Authorization") else 401, "GatedRepo")
            return self._error(401, "RepoNotFound")
        what, _, rest = ("/".join(parts[2:])).partition("/")
        revision, _, below = rest.partition("/")
        sha = repo.refs.get(revision or "main", revision)
        if sha not in repo.commits:
            return self._error(404, "RevisionNotFound")
        files = repo.commits[sha]
        if what in ("revision", ""):
            return self._json({"id": "/".join(parts[:2]), "sha": sha, "siblings": []})
        if what == "paths-info":
            return self._json(self._infos(files, self.asked.get("paths", [])))
        if what == "tree":
            inside = [name for name in files if not below or name.startswith(f"{below}/")]
            return self._json([self._file(name, files[name]) for name in inside])
        return self._resolve(files, below, sha)

    def _infos(self, files, paths):
        found = []
        for path in paths:
            if path in files:
                found.append(self._file(path, files[path]))
            elif any(name.startswith(f"{path}/") for name in files):
                found.append({"type": "directory", "path": path, "oid": "0" * 40})
        return found

    def _file(self, name, data):
        return {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}

    def _resolve(self, files, name, sha):
        if name not in files:
            self._error(404, "EntryNotFound")
            return
        data = files[name]
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", sha)
        self.send_header("Content-Length", str(len(data) - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data[start:])

    def _json(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _error(self, code, kind):
        self.send_response(code)
        self.send_header("X-Error-Code", kind)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


def handler_of(hub):
    return type("Handler", (HubHandler,), {"hub": hub})
