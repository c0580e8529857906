"""The Python files of a wheel, from a server that hands out parts of it."""

from __future__ import annotations

import io
import re
from pathlib import Path

import httpx
import pytest

from marsbench.errors import MarsbenchError, UsageError
from marsbench.trees.asked import tree_of
from marsbench.trees.release import from_wheel
from marsbench.trees.wheel import BLOCK, RemoteFile, unpack
from tests.trees.tiny import FILES, SCHEDULER, wheel

CONTENT = {
    **{name: text.encode() for name, text in FILES.items()},
    "vllm/_C.abi3.so": b"\0" * (3 * BLOCK),
    "vllm/_version.py": b"__version__ = version = '0.40.0'\n",
}


class Server:
    """Hands out parts, and remembers which. stops: after so many answers."""

    def __init__(self, content: bytes, stops: int = 1000, parts: bool = True) -> None:
        self.content, self.asked, self._left, self._parts = content, list[int](), stops, parts

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if not self._parts:
            return httpx.Response(200, content=b"all of it")
        if not self._left:
            raise httpx.ReadTimeout("silence")
        self._left -= 1
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers["range"])
        assert found is not None
        begin, last = int(found[1]), int(found[2])
        self.asked.append(begin // BLOCK)
        return httpx.Response(206, content=self.content[begin : last + 1])

    @property
    def file(self) -> RemoteFile:
        client = httpx.Client(transport=httpx.MockTransport(self))
        return RemoteFile(client, "https://example.org/w.whl", len(self.content))


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    return wheel(tmp_path / "vllm-0.40.0-py3-none-any.whl", CONTENT).read_bytes()


def test_python_is_taken_and_kernels_are_not_even_fetched(content: bytes, tmp_path: Path) -> None:
    server = Server(content)
    unpack(server.file, tmp_path / "into", lambda _done, _of: None)
    assert (tmp_path / "into" / SCHEDULER).read_text() == FILES[SCHEDULER]
    assert not list((tmp_path / "into").rglob("*.so"))
    assert set(server.asked) == {0, 3}  # of its four blocks, the two in the middle are kernels


def test_a_download_that_stopped_goes_on(content: bytes, tmp_path: Path) -> None:
    into = tmp_path / "into"
    (into / SCHEDULER).parent.mkdir(parents=True)
    (into / SCHEDULER).write_text(FILES[SCHEDULER])
    before = (into / SCHEDULER).stat().st_mtime_ns
    with pytest.raises(MarsbenchError, match="goes on where it stopped"):
        unpack(Server(content, stops=1).file, into, lambda _done, _of: None)
    unpack(Server(content).file, into, lambda _done, _of: None)
    assert (into / SCHEDULER).stat().st_mtime_ns == before
    assert (into / "vllm/other.py").read_text() == FILES["vllm/other.py"]


def test_a_server_without_parts_is_told_with_what_to_type(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(MarsbenchError, match="pip download"):
        unpack(Server(content, parts=False).file, tmp_path, lambda _done, _of: None)


def test_a_file_that_is_not_as_recorded_is_refused(tmp_path: Path) -> None:
    file = wheel(tmp_path / "w.whl", CONTENT, wrong=SCHEDULER)
    with pytest.raises(MarsbenchError, match="RECORD"):
        unpack(io.BytesIO(file.read_bytes()), tmp_path / "into", lambda _done, _of: None)


def test_a_wheel_on_disk_is_a_vllm(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tree = tree_of(str(tmp_path / "vllm-0.40.0-py3-none-any.whl"))
    assert (tree.version, tree.label, tree.commit) == ("0.40.0", "0.40.0", None)
    assert not list(tree.root.parent.glob("*.part"))


def test_reads_across_blocks_are_those_of_the_file() -> None:
    content = bytes(range(256)) * (2 * BLOCK // 256) + b"end"
    file = Server(content).file
    file.seek(BLOCK - 3)
    assert file.read(7) == content[BLOCK - 3 : BLOCK + 4]
    file.seek(-3, io.SEEK_END)
    assert file.read() == b"end"
    assert file.read() == b""


@pytest.mark.parametrize("name", ["other.whl", "vllm-0.40.0-py3-none-any.whl"])
def test_what_is_no_wheel_of_vllm_is_bad_input(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("no ZIP file")
    with pytest.raises(UsageError, match="as it was downloaded"):
        from_wheel(tmp_path / name)
