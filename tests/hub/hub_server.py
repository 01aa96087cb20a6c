"""A Hugging Face hub on loopback, with as much of its interface as its own library asks of it to fetch a model."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Hub:
    """Its repositories, and what was asked of it.

    Attributes:
        revisions: Repository -> revision -> commit.
        commits: Commit -> its files.
        asked: Method and path of each request.
    """

    def __init__(self) -> None:
        self.url = ""
        self.revisions: dict[str, dict[str, str]] = {}
        self.commits: dict[str, dict[str, bytes]] = {}
        self.asked: list[tuple[str, str]] = []

    def push(self, repository: str, folder: Path) -> str:
        """Make a folder's files the newest commit of a repository; returns the commit."""
        files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        digests = "".join(hashlib.sha1(content).hexdigest() for content in files.values())
        commit = hashlib.sha1(digests.encode()).hexdigest()
        self.commits[commit] = files
        self.revisions.setdefault(repository, {})["main"] = commit
        self.revisions[repository][commit] = commit
        return commit


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def answer(self, code: int, content: bytes, **headers: str) -> None:
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append((self.command, path))
            parts = path.removeprefix("/api/models").strip("/").split("/")
            repository, kind, revision, name = "/".join(parts[:2]), *(*parts[2:], "", "", "")[:3]
            if repository not in hub.revisions:
                self.answer(401, b"", X_Error_Code="RepoNotFound")
                return
            commit = hub.revisions[repository].get(revision)
            if commit is None:
                self.answer(404, b"", X_Error_Code="RevisionNotFound")
                return
            files = hub.commits[commit]
            if kind == "revision":
                siblings = [{"rfilename": name} for name in files]
                about = {"id": repository, "modelId": repository, "sha": commit, "private": False, "siblings": siblings}
                about |= {"tags": [], "downloads": 0, "likes": 0}
                self.answer(200, json.dumps(about).encode(), Content_Type="application/json")
            elif kind == "tree":
                tree = [
                    {"type": "file", "oid": hashlib.sha1(content).hexdigest(), "size": len(content), "path": name}
                    for name, content in files.items()
                ]
                self.answer(200, json.dumps(tree).encode(), Content_Type="application/json")
            elif kind == "resolve" and name in files:
                tag = f'"{hashlib.sha1(files[name]).hexdigest()}"'
                self.answer(200, files[name], ETag=tag, X_Repo_Commit=commit, Content_Type="application/octet-stream")
            else:
                self.answer(404, b"", X_Error_Code="EntryNotFound")

    return Handler


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub that answers while the block lasts."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
