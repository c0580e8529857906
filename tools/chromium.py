"""Chromium without a window, asked over its DevTools protocol."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def found() -> str | None:
    """MARSBENCH_CHROMIUM, or the first that is installed."""
    return os.environ.get("MARSBENCH_CHROMIUM") or next(
        filter(None, map(shutil.which, NAMES)), None
    )


class Page:
    """A tab. requested: the addresses that it asked for; errors: what its scripts threw."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._ids = socket, count(1)
        self.requested: list[str] = []
        self.errors: list[str] = []

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._ids)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            told = json.loads((await self._socket.receive()).data)
            if told.get("id") == number:
                assert "error" not in told, told
                return dict(told["result"])
            self._note(told)

    def _note(self, told: dict[str, Any]) -> None:
        if told["method"] == "Network.requestWillBeSent":
            self.requested.append(told["params"]["request"]["url"])
        if told["method"] == "Runtime.exceptionThrown":
            self.errors.append(str(told["params"]["exceptionDetails"]))

    async def run(self, script: str) -> Any:
        """The value of an expression; a promise is awaited."""
        answer = await self.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def press(self, key: str) -> None:
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        await self.ask("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        await self.ask("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def click(self, x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            await self.ask(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1
            )


@contextlib.asynccontextmanager
async def opened(file: Path, profile: Path) -> AsyncIterator[Page]:
    """A page that has been read and drawn."""
    browser = subprocess.Popen(
        [
            found() or "chromium", "--headless=new", "--no-sandbox", "--disable-gpu",
            "--remote-debugging-port=0", f"--user-data-dir={profile}", "--window-size=1400,1300",
            "--no-first-run", "about:blank",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        port = await _port(profile, browser)
        async with aiohttp.ClientSession() as client:
            async with client.get(f"http://127.0.0.1:{port}/json/list") as answer:
                tab = next(one for one in await answer.json() if one["type"] == "page")
            async with client.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                for domain in ("Network", "Runtime", "Page"):
                    await page.ask(f"{domain}.enable")
                await page.ask("Page.navigate", url=file.resolve().as_uri())
                await page.run(until("document.body?.dataset.ready"))
                yield page
    finally:
        browser.terminate()
        browser.wait()


def until(condition: str) -> str:
    """A promise of a script's that is kept when the condition holds."""
    return f"""new Promise((done) => {{
      const look = () => ({condition}) ? done(true) : setTimeout(look, 50);
      look();
    }})"""


async def _port(profile: Path, browser: subprocess.Popen[bytes]) -> int:
    """Chromium writes it down when it listens."""
    told = profile / "DevToolsActivePort"
    while not (told.exists() and told.read_text()):
        assert browser.poll() is None, "Chromium ended before it listened"
        await asyncio.sleep(0.05)
    return int(told.read_text().splitlines()[0])
