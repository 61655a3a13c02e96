"""What the report and the page of a run share: how a page is put together so that what a model wrote stays text.

Such text travels as JSON without ``<`` and reaches the page through ``textContent`` (``assets/basics.js``); the content security
policy names the hashes of our own styles and scripts and forbids every other. Deliberately left out: a template engine; a page has
a handful of marks, ``@LIKE_THIS@``.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ASSETS = Path(__file__).with_name("assets")


def asset(name: str) -> str:
    """The text of a file of ``assets/``."""
    return (ASSETS / name).read_text(encoding="utf-8")


def script_of(*texts: str) -> str:
    """One script out of several, which see each other's names."""
    return "\n".join(['"use strict";', asset("basics.js"), *texts])


def style_of(*texts: str) -> str:
    """One style sheet; what comes later replaces what all pages have."""
    return "\n".join([asset("basics.css"), *texts])


def fill(template: str, parts: Mapping[str, str]) -> str:
    """The template with every mark replaced, in one pass: a mark inside a value stays what it is.

    Raises:
        KeyError: if a mark has no part.
    """
    return re.sub("@[A-Z_]+@", lambda mark: parts[mark.group()], template)


def policy(style: str | None, *scripts: str, connect: str = "'none'") -> str:
    """The content security policy of a page.

    Args:
        style: its style sheet; None where pictures that we made bring styles of their own.
        scripts: of the page.
        connect: what it may ask for more.
    """
    rules = ["default-src 'none'", "base-uri 'none'", "form-action 'none'", f"connect-src {connect}"]
    styles = "'unsafe-inline'" if style is None else _hash(style)
    return "; ".join([*rules, f"style-src {styles}", f"script-src {' '.join(map(_hash, scripts))}"])


def json_in_html(value: Any) -> str:
    """JSON that may stand inside an HTML document: no tag can end the element that holds it."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
