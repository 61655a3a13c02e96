"""Headless Chromium for the tests of pages, driven over its DevTools protocol: run a script, wait for what it says, take a picture.

A page's content security policy stays as it is: what is evaluated here is no script of the page.
"""

import base64
import itertools
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

INSTALL = "needs Chromium: `apt-get install chromium` (Debian; Ubuntu: `snap install chromium`)"
PATIENCE_S = 60.0
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-port=0", "about:blank",
)  # fmt: skip


class Browser:
    """One Chromium process; every :meth:`open` is a page of its own."""

    def __init__(self, profile: Path) -> None:
        chromium = shutil.which("chromium")
        if chromium is None:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(INSTALL)
        self._process = subprocess.Popen(
            [chromium, f"--user-data-dir={profile}", *FLAGS], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        port_file = profile / "DevToolsActivePort"
        deadline = time.monotonic() + PATIENCE_S
        while not (port_file.is_file() and len(lines := port_file.read_text().splitlines()) == 2):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Chromium did not start (exit code {self._process.poll()})")
            time.sleep(0.05)
        self._socket = connect(f"ws://127.0.0.1:{lines[0]}{lines[1]}", max_size=None, proxy=None)
        self._numbers = itertools.count(1)

    def open(self, address: str, width: int = 1440, height: int = 900, dark: bool = False) -> "Page":
        """The page at ``address``, loaded."""
        target = self.send("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.send("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = Page(self, session)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        page.send("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.send("Emulation.setEmulatedMedia", {"features": [scheme]})
        page.send("Page.navigate", {"url": address})
        page.wait("location.href !== 'about:blank' && document.readyState === 'complete'")
        return page

    def send(self, method: str, parameters: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        """One command, and its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(timeout=PATIENCE_S))
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def close(self) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(timeout=PATIENCE_S)


class Page:
    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session

    def send(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        return self._browser.send(method, parameters, self._session)

    def run(self, script: str) -> Any:
        """The value of an expression in the page; a promise is waited for.

        Raises:
            AssertionError: if it throws.
        """
        result = self.send("Runtime.evaluate", {"expression": script, "awaitPromise": True, "returnByValue": True})
        assert "exceptionDetails" not in result, f"{script}: {result['exceptionDetails']}"
        return result["result"].get("value")

    def wait(self, condition: str) -> None:
        """Until the expression is true.

        Raises:
            AssertionError: if it is not within a minute.
        """
        deadline = time.monotonic() + PATIENCE_S
        while not self.run(condition):
            assert time.monotonic() < deadline, f"still not true: {condition}"
            time.sleep(0.05)

    def press(self, key: str) -> None:
        """A key, as a person would press it."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": key} if kind == "keyDown" and len(key) == 1 else {}
            self.send("Input.dispatchKeyEvent", {"type": kind, "key": key, **text})

    def picture(self, path: Path, whole: bool = False) -> None:
        """A PNG of what is seen, or of the whole page."""
        clip = {}
        if whole:
            size = self.send("Page.getLayoutMetrics", {})["cssContentSize"]
            clip = {"clip": size | {"scale": 1}, "captureBeyondViewport": True}
        found = self.send("Page.captureScreenshot", {"format": "png", **clip})
        path.write_bytes(base64.b64decode(found["data"]))
