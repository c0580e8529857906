"""The page itself: one file that asks for nothing, and in a browser it answers."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from chromium import Page, found, opened, until
from marsbench.errors import UsageError
from marsbench.explore.page import explored

Runs = tuple[Path, Path]


def test_the_same_runs_give_the_same_bytes(runs: Runs) -> None:
    assert explored(runs) == explored(runs)


def test_a_page_names_no_address(runs: Runs) -> None:
    page = explored(runs[:1])
    assert not re.search(r'<(?:script|link|img)[^>]+(?:src|href)="', page)


def test_three_runs_are_refused(runs: Runs) -> None:
    with pytest.raises(UsageError, match="3 runs are given; explore shows one, or two"):
        explored([runs[0]] * 3)


def test_a_name_with_markup_is_text(runs: Runs, tmp_path: Path) -> None:
    odd = tmp_path / "<b>x"
    shutil.copytree(runs[0], odd)
    assert "<b>x" not in explored([odd]).split("<main>")[0]


needs_chromium = pytest.mark.skipif(
    found() is None, reason="no Chromium; install it, or name it in MARSBENCH_CHROMIUM"
)


@needs_chromium
@pytest.mark.processes
def test_a_session_is_found_by_key_by_search_and_by_click(runs: Runs, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(explored(runs), encoding="utf-8")
    asyncio.run(_looked_at(file, tmp_path / "profile"))


async def _looked_at(file: Path, profile: Path) -> None:
    async with opened(file, profile) as page:
        assert await page.run(f"{MODEL}.get_model_by_name('spans-0-4').data.left") == [2, 16, 9]
        await page.press("ArrowDown")
        assert "a took 20.00 s where alone" in await _story(page)
        await page.press("ArrowDown")
        assert "b, fcfs (one)" in await _story(page)
        await _search(page, "a")
        assert await page.run("explore.state().chosen") == 0
        await _search(page, "nobody")
        assert "No session is called nobody." in await _story(page)
        await _zooms(page)
        await _clicks_the_second_lane(page)
        assert page.errors == []
        assert {url.split(":")[0] for url in page.requested} <= {"file", "data", "blob"}


MODEL = "Bokeh.documents[0]"


async def _zooms(page: Page) -> None:
    await page.run("document.activeElement.blur()")
    await page.press("+")
    start, end = (await page.run("explore.state()"))["clock"]
    assert (start, end) == (5.0, 15.0)
    assert await page.run(f"{MODEL}.get_model_by_name('spans-0-4').data.left.length") > 0
    await page.press("0")
    assert (await page.run("explore.state()"))["clock"] == [0, 20]


async def _clicks_the_second_lane(page: Page) -> None:
    box = await page.run(WHERE)
    await page.click(box["x"], box["y"])
    await page.run(until("explore.state().chosen === 1"))


# A quarter from the bottom of the first chart's frame: two lanes, so the second one's middle.
WHERE = """(() => {
  const views = [];
  const walk = (v) => { if (v.model.type === "Figure") views.push(v);
                        (v.child_views || []).forEach(walk); };
  Object.values(Bokeh.index.roots ?? Bokeh.index).forEach(walk);
  const chart = views[0], frame = chart.frame.bbox, at = chart.el.getBoundingClientRect();
  return { x: at.left + frame.left + frame.width / 2,
           y: at.top + frame.top + frame.height * 0.75 };
})()"""


async def _story(page: Page) -> str:
    return str(await page.run("document.getElementById('story').textContent"))


async def _search(page: Page, text: str) -> None:
    await page.run(
        f"(() => {{ const box = document.getElementById('search'); box.value = '{text}';"
        "box.dispatchEvent(new Event('change')); })()"
    )
