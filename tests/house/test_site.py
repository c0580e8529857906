"""The documents' site: every page is in its navigation, every link leads somewhere, it is built."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import docs_site
from site_pages import FRONT, INDEX, REPOSITORY, Pages, at


def in_navigation(pages: Pages) -> Iterator[str]:
    for entry in pages.navigation():
        values = entry.values() if isinstance(entry, dict) else [entry]
        for value in values:
            yield from [value] if isinstance(value, str) else value


def laid_out(root: Path, **texts: str) -> Pages:
    """A repository of one document for each word, and of what a document needs."""
    for name, text in {"index": "## All\n", **texts}.items():
        file = root / "docs" / f"{name}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (root / "code").mkdir()
    (root / "code" / "a.py").touch()
    (root / "reports").mkdir()
    (root / FRONT).write_text("# Map\n\n![best](best.svg)\n")
    (root / "reports" / "best.svg").touch()
    return Pages.of(root)


def test_every_page_is_in_the_navigation_once() -> None:
    pages = Pages.of()
    there = Counter(in_navigation(pages))
    assert there.keys() == {at(name) for name in pages.files if name.endswith(".md")}
    assert [name for name, times in there.items() if times > 1] == []


def test_a_page_without_a_row_in_the_index_is_in_no_navigation(tmp_path: Path) -> None:
    row = "## All\n\n| page |\n|---|\n| [one](one.md) |\n"
    pages = laid_out(tmp_path, index=row, one="# One\n", two="# Two\n")
    assert [*in_navigation(pages)] == ["index.md", "docs/one.md", INDEX]


def test_no_link_is_dead() -> None:
    assert [*Pages.of().dead_links()] == []


def test_a_dead_link_is_named_with_its_page(tmp_path: Path) -> None:
    pages = laid_out(
        tmp_path, a="[b](b.md) [c](../code/c.py) [d](../code/a.py) <https://e.example>"
    )
    assert [*pages.dead_links()] == ["docs/a.md: b.md", "docs/a.md: ../code/c.py"]


@pytest.mark.parametrize(
    ("page", "written", "shown"),
    [
        ("docs/a.md", "[i](index.md#all)", "[i](index.md#all)"),
        ("docs/a.md", "[p](../code/a.py)", f"[p]({REPOSITORY}/blob/main/code/a.py)"),
        ("docs/a.md", "[c](../code)", f"[c]({REPOSITORY}/tree/main/code)"),
        ("docs/a.md", "[m](../reports/map.md#how)", "[m](../index.md#how)"),
        (FRONT, "![best](best.svg) [a](../docs/a.md)", "![best](reports/best.svg) [a](docs/a.md)"),
        ("docs/a.md", "[w](https://e.example/x)", "[w](https://e.example/x)"),
        ("docs/a.md", "- [NEW] [i](index.md)", "- \\[NEW\\] [i](index.md)"),
    ],
)
def test_a_link_leads_to_the_page_or_to_the_repository(
    page: str, written: str, shown: str, tmp_path: Path
) -> None:
    pages = laid_out(tmp_path, a="# A\n")
    (tmp_path / page).write_text(written)
    assert pages.text(page) == shown


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not docs_site.GENERATOR.exists():
        pytest.skip("its tools are not installed: `make docs` does")
    folder = tmp_path_factory.mktemp("docs") / "docs"
    docs_site.lay_out(Pages.of(), folder)
    assert docs_site.build(docs_site.GENERATOR, folder), "see what it said"
    return folder / "site"


def test_the_map_is_its_front_page(site: Path) -> None:
    front = (site / "index.html").read_text("utf-8")
    assert "Who is best where" in front
    assert 'src="reports/map-best.svg"' in front


def test_api_pages_have_what_docstrings_and_options_say(site: Path) -> None:
    shown = {
        name: (site / "docs" / "api" / f"{name}.html").read_text("utf-8")
        for name in ("marsbench", "routers")
    }
    assert "Of the weights: bf16, fp8, mxfp4" in shown["marsbench"]
    assert re.search(r"<li>\s*(<p>)?<code>snapshot_age_s</code>: seconds between", shown["routers"])


def test_search_knows_every_page(site: Path) -> None:
    items = json.loads((site / "search.json").read_text("utf-8"))["items"]
    found = {one["location"].partition("#")[0] for one in items}
    pages = {at(name) for name in Pages.of().files if name.endswith(".md")}
    assert found == {page.replace("README", "index").replace(".md", ".html") for page in pages}


def test_no_page_asks_another_host_for_anything(site: Path) -> None:
    asks = re.compile(
        r"""(?:\bsrc|<link[^>]*\bhref)=["']?https?://[^"'> ]+|url\(["']?https?://[^)]+"""
    )
    found = {
        f"{path.relative_to(site)}: {one}"
        for path in site.rglob("*")
        if path.suffix in {".html", ".css"}
        for one in asks.findall(path.read_text("utf-8"))
    }
    assert found == set()


def test_a_site_with_a_dead_heading_is_not_built(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if not docs_site.GENERATOR.exists():
        pytest.skip("its tools are not installed: `make docs` does")
    row = "## All\n\n| page |\n|---|\n| [one](one.md#nothing) |\n"
    docs_site.lay_out(
        laid_out(tmp_path / "repository", index=row, one="# One\n"), tmp_path / "docs"
    )
    assert not docs_site.build(docs_site.GENERATOR, tmp_path / "docs")
    assert "anchor does not exist" in capfd.readouterr().err
