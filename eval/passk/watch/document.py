"""The page, put together from ``page/``: one HTML document that loads nothing."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from passk.pages import fill, json_in_html, policy, script_of, style_of

PAGE = Path(__file__).with_name("page")
# In the order in which they need each other
SCRIPTS = (
    "store.js",
    "charts.js",
    "overview.js",
    "samples.js",
    "question.js",
    "changes.js",
    "settings.js",
    "main.js",
)


def document(state: Mapping[str, Any], live: bool, blocks: Sequence[tuple[str, bytes]] = ()) -> bytes:
    """The page.

    Args:
        state: of :func:`passk.watch.state.state`.
        live: whether it asks the server that it came from for samples and news.
        blocks: samples of a page without a server: (id, compressed columns), which follow the scripts, so that the curves are
            there while the samples are still on their way.
    """
    style = style_of(_text("uplot/uPlot.min.css"), _text("watch.css"))
    library, script = _text("uplot/uPlot.iife.min.js"), script_of(*map(_text, SCRIPTS))
    parts = {
        "@STYLE@": style,
        "@LIBRARY@": library,
        "@SCRIPT@": script,
        "@POLICY@": policy(style, library, script, connect="'self'" if live else "'none'"),
        "@LIVE@": str(live).lower(),
        "@STATE@": json_in_html(state),
        "@BLOCKS@": "\n".join(
            f'<script type="text/plain" id="{name}">{base64.b64encode(block).decode()}</script>'
            for name, block in blocks
        ),
    }
    return fill(_text("watch.html"), parts).encode()


def _text(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")
