"""Downloads from a server that fails in every way."""

import base64
import hashlib
import http.server
import random
import socket
import struct
import threading

import pytest

from ansatz.data import download as downloading
from ansatz.data.archives import Archive, fetch
from ansatz.errors import UserError
from disks import mounted

CONTENT = random.Random(0).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """Serves `CONTENT` under any name; `failures` are what happens to the first requests."""

    def __init__(self):
        self.failures, self.requests, self.parts = [], [], True
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                server.requests.append(dict(self.headers) | {"path": self.path})
                server.answer(self, server.failures.pop(0) if server.failures else None)

        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.httpd.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.httpd.server_port}"
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    @property
    def ranges(self):
        return [request.get("Range") for request in self.requests]

    def answer(self, request, failure):
        if isinstance(failure, int):
            return request.send_error(failure)
        if failure == "elsewhere":
            request.send_response(302)
            request.send_header("Location", self.address.replace("127.0.0.1", "localhost") + "/there")
            return request.end_headers()
        start = int(request.headers.get("Range", "bytes=0-")[6:-1]) if self.parts else 0
        if start >= len(CONTENT):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            return request.end_headers()
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(CONTENT) - start))
        request.end_headers()
        if not failure:
            return request.wfile.write(CONTENT[start:])
        request.wfile.write(CONTENT[start : start + 100_000])
        request.wfile.flush()
        if failure == "stall":
            self.stalled.wait(60)
        if failure == "reset":
            request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.connection.close()


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setattr(downloading, "PAUSES", (0, 0))
    monkeypatch.setattr(downloading, "TIMEOUT", 0.3)
    monkeypatch.setenv("HOME", str(tmp_path))
    server = Server()
    server.stalled = threading.Event()
    yield server
    server.stalled.set()
    server.httpd.shutdown()
    server.httpd.server_close()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "into" / "a.bin"


def get(server, target, sha256=SHA256):
    fetch(Archive("a.bin", f"{server.address}/a.bin", sha256), target, [])


def refusal(server, target, **options):
    with pytest.raises(UserError) as caught:
        get(server, target, **options)
    assert "\n" not in str(caught.value)
    assert not target.exists()
    return str(caught.value)


def part(target):
    return target.with_name(".a.bin.part")


@pytest.mark.parametrize("sha256", [SHA256, SHA256[:8], SHA256.upper(), hashlib.md5(CONTENT).hexdigest()])
def test_a_file_is_downloaded_at_once(server, target, sha256):
    get(server, target, sha256)
    assert target.read_bytes() == CONTENT
    assert server.ranges == [None]
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("failure", ["truncate", "reset", "stall"])
def test_what_broke_off_is_continued(server, target, failure):
    server.failures = [failure] * 2
    get(server, target)
    assert target.read_bytes() == CONTENT
    starts = [int(value[6:-1]) for value in server.ranges[1:]]
    assert len(starts) == 2
    assert starts == sorted(starts)
    if failure != "reset":  # which may take back what was on its way
        assert starts == [100_000, 200_000]


def test_progress_gives_all_attempts_back(server, target):
    server.failures = [503, "truncate", 503, "truncate", 503]
    get(server, target)
    assert target.read_bytes() == CONTENT


def test_a_server_that_sends_no_parts_sends_all_again(server, target):
    server.parts, server.failures = False, ["truncate"]
    get(server, target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_busy_server_is_asked_again_but_not_for_ever(server, target, code):
    server.failures = [code] * 2
    get(server, target)
    assert target.read_bytes() == CONTENT
    target.unlink()
    server.requests, server.failures = [], [code] * 3
    assert f"/a.bin: cannot be downloaded ({code} " in refusal(server, target)
    assert len(server.requests) == 3


@pytest.mark.parametrize("code", [401, 404, 410])
def test_what_will_not_pass_is_asked_for_once(server, target, code):
    server.failures = [code]
    line = refusal(server, target)
    assert f"/a.bin: cannot be downloaded ({code} " in line
    assert line.endswith("; put the file into the configuration's data_dir")
    assert len(server.requests) == 1
    assert not list(target.parent.iterdir())


def test_the_next_run_continues(server, target):
    server.failures = ["truncate"] + [503] * 2
    assert "rerun to resume it" in refusal(server, target)
    assert part(target).read_bytes() == CONTENT[:100_000]
    get(server, target)
    assert target.read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=100000-"
    assert not part(target).exists()


def test_a_wrong_checksum_is_said_at_once_and_leaves_nothing(server, target):
    assert f"/a.bin: its sha256 is {SHA256}, not 00000000: " in refusal(server, target, sha256="00000000")
    assert len(server.requests) == 1
    assert not list(target.parent.iterdir())


@pytest.mark.parametrize("left", [b"other", CONTENT[:-1] + b"?", CONTENT + b"more"], ids=["other", "changed", "longer"])
def test_what_was_begun_of_another_file_is_replaced(server, target, left):
    target.parent.mkdir()
    part(target).write_bytes(left)
    get(server, target)
    assert target.read_bytes() == CONTENT
    assert not part(target).exists()


def test_nothing_is_downloaded_where_nothing_is_missing(server, target):
    target.parent.mkdir()
    part(target).write_bytes(CONTENT)
    get(server, target)
    assert target.read_bytes() == CONTENT
    assert server.ranges == [f"bytes={len(CONTENT)}-"]


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://127.0.0.1:1/x", "Connection refused"),
        ("http://no-such-host.invalid/x", ""),
        ("nothing", "unknown url type"),
        ("http://127.0.0.1:port/x", "nonnumeric port"),
    ],
)
def test_an_address_that_leads_nowhere_is_said_so_at_once(target, monkeypatch, address, reason):
    monkeypatch.setattr(downloading.time, "sleep", lambda _: pytest.fail("waited"))
    with pytest.raises(UserError, match=f"^{address}: cannot be downloaded .*{reason}") as caught:
        fetch(Archive("x", address, "0" * 64), target, [])
    assert "\n" not in str(caught.value)


def test_passwords_are_those_of_netrc_and_reach_only_their_host(server, target, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ada password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    server.failures = ["elsewhere"]
    get(server, target)
    assert target.read_bytes() == CONTENT
    first, second = server.requests
    assert base64.b64decode(first["Authorization"].split()[1]) == b"ada:secret"
    assert (second["path"], second.get("Authorization")) == ("/there", None)


def test_a_full_disk_is_one_line(server, tmp_path):
    with mounted(tmp_path / "small", "size=128k"):
        line = refusal(server, tmp_path / "small" / "a.bin")
    assert line.startswith(f"{tmp_path}/small/a.bin: no space left on the device")
