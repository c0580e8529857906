"""How smoothly the page of a run of 500 sessions moves: `python -m benchmarks.explore`.

A frame has 16.7 ms at 60 a second. What is measured is the CPU time of the page's main thread for
a frame, which other processes disturb little; a screen without a GPU, as here, paints in it too.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from tools.chromium import Page, found, opened

SESSIONS, FRAMES = 500, 60
RUN = [
    *("run", "--backend", "infercept", "--sessions", str(SESSIONS), "--load", "0.8"),
    *("--block-size", "64", "--seed", "3", "--tools", "recorded-10s", "--no-resident"),
]
MOVES = {
    "drag the whole run": "{start: i * W / 600, end: i * W / 600 + 0.9 * W}",
    "drag a tenth of it": "{start: i * W / 300, end: i * W / 300 + W / 10}",
    "zoom in to a fifth": "{start: 0.4 * W * i / n, end: W - 0.4 * W * i / n}",
}


class Moved(NamedTuple):
    """CPU milliseconds a frame, and how many spans are on the page at the end."""

    what: str
    cpu_ms: float
    spans: int


def report() -> None:
    """The table of docs/benchmarks.md."""
    if found() is None:
        print("No Chromium is installed, so that the page of a run is not measured.")
        return
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        marsbench = [sys.executable, "-m", "marsbench"]
        run = Path(folder, "run")
        subprocess.run([*marsbench, *RUN, "-o", str(run)], check=True, capture_output=True)
        subprocess.run([*marsbench, "explore", str(run), "-o", str(page)], check=True)
        moves = asyncio.run(_measured(page, Path(folder, "profile")))
        size = page.stat().st_size / 1e6
    print(f"The page of {SESSIONS} sessions, {size:.1f} MB:\n")
    print("| movement | CPU ms a frame (60 a second: 16.7) | spans drawn |\n|---|--:|--:|")
    for one in moves:
        print(f"| {one.what} | {one.cpu_ms:.1f} | {one.spans:,} |")


async def _measured(file: Path, profile: Path) -> list[Moved]:
    async with opened(file, profile) as page:
        await page.ask("Performance.enable", timeDomain="threadTicks")
        return [await _move(page, what, to) for what, to in MOVES.items()]


async def _move(page: Page, what: str, to: str) -> Moved:
    before = await _busy_s(page)
    spans = await page.run(
        f"""(async () => {{
          const model = Bokeh.documents[0], clock = model.get_model_by_name("clock");
          clock.setv(explore.whole());
          const W = clock.end, n = {FRAMES};
          for (let i = 0; i < n; i++) {{
            clock.setv({to});
            await new Promise((drawn) => requestAnimationFrame(drawn));
          }}
          const of = (state) => model.get_model_by_name(`spans-0-${{state}}`).data.left.length;
          return [0, 1, 2, 3, 4, 5, 6].reduce((sum, state) => sum + of(state), 0);
        }})()"""
    )
    return Moved(what, 1000 * (await _busy_s(page) - before) / FRAMES, spans)


async def _busy_s(page: Page) -> float:
    told: dict[str, Any] = await page.ask("Performance.getMetrics")
    return next(float(m["value"]) for m in told["metrics"] if m["name"] == "TaskDuration")


if __name__ == "__main__":
    report()
