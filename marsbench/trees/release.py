"""A released vLLM, from the package index that pip is set to, or from a wheel on disk."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urljoin

import httpx
from pydantic import BaseModel, ValidationError

from marsbench.errors import MarsbenchError, UsageError
from marsbench.text.progress import progress_bar
from marsbench.trees import place
from marsbench.trees.sources import is_vllm
from marsbench.trees.tree import Tree, keep, read, version_in
from marsbench.trees.wheel import RemoteFile, unpack

OLDEST = (0, 28)
LATEST = "latest"
ASK_PIP = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
"""Where pip looks when nobody told it where: it knows, and no file of ours names a host."""

JSON = "application/vnd.pypi.simple.v1+json"
_WHEEL = re.compile(r"vllm-(\d+(?:\.\d+)*(?:\.post\d+)?)-.*\.whl")
_RELEASE = re.compile(r"v?(\d+\.\d+(?:\.\d+)*(?:\.post\d+)?)")


class _File(BaseModel):
    filename: str
    url: str
    size: int | None = None
    yanked: bool | str = False


class _Index(BaseModel):
    files: tuple[_File, ...]


class Wheel(NamedTuple):
    """A wheel of an index. Any platform's will do: the Python files are the same."""

    version: str
    url: str
    size: int | None


def release_in(text: str) -> str | None:
    """The version where the text is one, "latest" among them; else None.

    Raises UsageError for one that is too old.
    """
    if text == LATEST:
        return text
    found = _RELEASE.fullmatch(text)
    if found is None:
        return None
    if _number(found[1])[:2] < OLDEST:
        raise UsageError(
            f"vLLM {found[1]} is older than {OLDEST[0]}.{OLDEST[1]}, the first whose scheduler "
            "this marsbench plays; give that or a later one, for example --vllm 0.32.0."
        )
    return found[1]


def released(version: str, show_progress: bool = True) -> Tree:
    """The release, downloaded where it is not at hand. Raises MarsbenchError."""
    folder = place.trees() / _folder(version)
    if version != LATEST and (tree := read(folder)) is not None:
        folder.touch()
        return tree
    with _client() as client:
        wheel = _chosen(_listed(client), version)

        def download(into: Path) -> None:
            size = wheel.size or _size(client, wheel.url)
            _filled(RemoteFile(client, wheel.url, size), into, wheel.version, show_progress)

        return _made(wheel.version, download)


def from_wheel(path: Path) -> Tree:
    """A wheel that lies here. Raises UsageError for one that is no vLLM."""
    found = _WHEEL.fullmatch(path.name)
    if found is None:
        raise UsageError(
            f"{path} is not named as a wheel of vLLM is (vllm-0.32.0-….whl); give one as it was "
            "downloaded."
        )
    if not zipfile.is_zipfile(path):
        raise UsageError(f"{path} is no wheel, which is a ZIP file; give one as it was downloaded.")

    def take(into: Path) -> None:
        with path.open("rb") as file:
            _filled(file, into, found[1], True)

    return _made(found[1], take)


def _folder(version: str) -> str:
    return f"release-{version}"


def _made(version: str, make: place.Make) -> Tree:
    tree = read(place.made(_folder(version), make))
    assert tree is not None
    return tree


def _filled(file: object, into: Path, version: str, show_progress: bool) -> None:
    with progress_bar(f"vLLM {version}, its Python files", 1, show_progress) as done:
        unpack(file, into, lambda number, _of: done(number))  # type: ignore[arg-type]
    if not is_vllm(into):
        raise UsageError(f"vLLM {version} has no scheduler of version 1; give another release.")
    keep(into, version, version_in(into), None, None)


def _client() -> httpx.Client:
    """With the certificates of the system, as pip has them here."""
    certificates = os.environ.get("PIP_CERT") or None
    context = ssl.create_default_context(cafile=certificates)
    return httpx.Client(verify=context, follow_redirects=True, timeout=60)


def index_url() -> str:
    """Of the index that pip is set to. Raises MarsbenchError where nobody knows."""
    for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        if os.environ.get(name):
            return os.environ[name]
    for asked in (("-m", "pip", "config", "get", "global.index-url"), ("-c", ASK_PIP)):
        command = [sys.executable, *asked]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.strip()
    raise MarsbenchError(
        "There is no pip here to say where the package index is; name it, as in PIP_INDEX_URL=…, "
        "or give a wheel, as in --vllm ./vllm-….whl."
    )


def _listed(client: httpx.Client) -> list[Wheel]:
    """Every wheel of vLLM that the index has. Raises MarsbenchError."""
    url = f"{index_url().rstrip('/')}/vllm/"
    try:
        answer = client.get(url, headers={"Accept": JSON}).raise_for_status()
        files = _Index.model_validate_json(answer.content).files
    except (httpx.HTTPError, ValidationError) as error:
        raise MarsbenchError(
            f"The package index did not say which vLLM there are ({type(error).__name__}); type "
            "`pip download vllm==VERSION --no-deps` and give the file, as in --vllm ./vllm-….whl."
        ) from error
    return [
        Wheel(found[1], urljoin(url, file.url), file.size)
        for file in files
        if (found := _WHEEL.fullmatch(file.filename)) and not file.yanked
    ]


def _chosen(wheels: Sequence[Wheel], version: str) -> Wheel:
    playable = [wheel for wheel in wheels if _number(wheel.version)[:2] >= OLDEST]
    if version == LATEST and playable:
        return max(playable, key=lambda wheel: _number(wheel.version))
    for wheel in playable:
        if wheel.version == version:
            return wheel
    known = sorted({wheel.version for wheel in playable}, key=_number)
    raise UsageError(f"There is no vLLM {version}; there are {', '.join(known)}.")


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _size(client: httpx.Client, url: str) -> int:
    return int(client.head(url).headers.get("content-length", 0))
