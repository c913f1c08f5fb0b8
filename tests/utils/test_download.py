"""Downloads from a local server that stops, sends too little, or sends another file."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from utils.download import check_digits, fetch

CONTENT = np.random.default_rng(0).bytes(3_000_000)
DIGITS = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT; `server.stop_after` bytes of an answer, `server.ranges` or whole files."""

    def do_GET(self):
        server, start = self.server, 0
        asked = self.headers.get("Range")
        server.asked.append(asked)
        if asked and server.ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(server.content):
                self.send_error(416)
                return
        body = server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.stop_after])
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    """Return a running server, and its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.stop_after, server.ranges, server.asked = CONTENT, None, True, []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_address[1]}/data/file.zip"
    yield server
    server.shutdown()


def test_a_whole_file_is_put_in_place(server, tmp_path):
    to = tmp_path / "new" / "file.zip"
    fetch(server.url, to, DIGITS[:8], len(CONTENT))
    assert to.read_bytes() == CONTENT and [p.name for p in to.parent.iterdir()] == ["file.zip"]


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_download_goes_on(server, tmp_path, ranges):
    to = tmp_path / "file.zip"
    server.stop_after, server.ranges = 1_000_000, ranges
    with pytest.raises(ValueError, match=r"file\.zip") as caught:
        fetch(server.url, to, DIGITS)
    assert "the same command goes on" in str(caught.value) and "\n" not in str(caught.value)
    part = tmp_path / "file.zip.part"
    assert not to.exists() and part.stat().st_size == 1_000_000
    server.stop_after = None
    fetch(server.url, to, DIGITS)
    assert server.asked[-1] == "bytes=1000000-" and to.read_bytes() == CONTENT
    assert not part.exists()


def test_a_whole_part_is_not_fetched_again(server, tmp_path):
    (tmp_path / "file.zip.part").write_bytes(CONTENT)
    fetch(server.url, tmp_path / "file.zip", DIGITS, len(CONTENT))
    assert (tmp_path / "file.zip").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (CONTENT[:-1] + b"x", "sha256 must begin with"),
        (CONTENT + b"more", f"must have {len(CONTENT)} bytes, got {len(CONTENT) + 4}"),
    ],
)
def test_another_file_is_refused_and_nothing_stays(server, tmp_path, content, rule):
    server.content = content
    with pytest.raises(ValueError, match=rule):
        fetch(server.url, tmp_path / "file.zip", DIGITS, len(CONTENT))
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_file_is_kept_as_a_part(server, tmp_path):
    server.content = CONTENT[:-5]
    with pytest.raises(
        ValueError, match=f"must have {len(CONTENT)} bytes .*got {len(CONTENT) - 5}"
    ):
        fetch(server.url, tmp_path / "file.zip", DIGITS, len(CONTENT))
    assert [p.name for p in tmp_path.iterdir()] == ["file.zip.part"]


def test_without_a_server_it_says_what_to_fetch_and_where_to_put_it(server, tmp_path):
    url = server.url
    server.shutdown()
    server.server_close()
    with pytest.raises(ValueError, match=r"could not be downloaded .*put it at .*file\.zip"):
        fetch(url, tmp_path / "file.zip")
    assert list(tmp_path.iterdir()) == []


def test_digits_may_be_the_first_of_the_checksum(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    check_digits(tmp_path / "a", "ba7816bf")
    with pytest.raises(ValueError, match="sha256 must begin with ba7816bg"):
        check_digits(tmp_path / "a", "ba7816bg")
