"""The page, put together from ``page/``: one HTML document that loads nothing.

What a model wrote travels as JSON without ``<`` and reaches the page through ``textContent``; the content security policy names the
hashes of our own styles and scripts and forbids every other.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from passk.watch.state import as_json

PAGE = Path(__file__).with_name("page")
STYLES = ("uplot/uPlot.min.css", "watch.css")
LIBRARY = "uplot/uPlot.iife.min.js"
# In the order in which they need each other
SCRIPTS = (
    "basics.js", "store.js", "charts.js", "overview.js", "samples.js", "question.js", "changes.js", "settings.js", "main.js",
)  # fmt: skip


def document(state: Mapping[str, Any], live: bool, blocks: Sequence[tuple[str, bytes]] = ()) -> bytes:
    """The page.

    Args:
        state: of :func:`passk.watch.state.state`.
        live: whether it asks the server that it came from for samples and news.
        blocks: samples of a page without a server: (id, compressed columns), which follow the scripts, so that the curves are
            there while the samples are still on their way.
    """
    style = "\n".join(_text(name) for name in STYLES)
    library, script = _text(LIBRARY), '"use strict";\n' + "\n".join(_text(name) for name in SCRIPTS)
    parts = {
        "@STYLE@": style,
        "@LIBRARY@": library,
        "@SCRIPT@": script,
        "@POLICY@": policy(style, library, script, live=live),
        "@LIVE@": str(live).lower(),
        "@STATE@": as_json(state).decode(),
        "@BLOCKS@": "\n".join(
            f'<script type="text/plain" id="{name}">{base64.b64encode(block).decode()}</script>'
            for name, block in blocks
        ),
    }
    # one pass over the template: a mark inside a value stays what it is
    page = re.sub("@[A-Z]+@", lambda mark: parts[mark.group()], _text("watch.html"))
    return page.encode()


def policy(style: str, *scripts: str, live: bool) -> str:
    """The content security policy: our own styles and scripts by their hashes, nothing else; a live page may ask its server."""
    allowed = " ".join(_hash(script) for script in scripts)
    connect = "'self'" if live else "'none'"
    rules = ["default-src 'none'", "base-uri 'none'", "form-action 'none'", f"connect-src {connect}"]
    return "; ".join([*rules, f"style-src {_hash(style)}", f"script-src {allowed}"])


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _text(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")
