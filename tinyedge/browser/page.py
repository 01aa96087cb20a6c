"""One HTML file that holds a compiled model, what runs it, and a mark by which tinyedge knows it again."""

import base64
import hashlib
import html
import json
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinyedge.version import __version__

_ASSETS = Path(__file__).parent / "assets"
_SCRIPTS = ("resample.js", "sixteen_bits.js", "model.js", "board_line.js", "board.js", "page.js")
_HEAD = "<!DOCTYPE html>\n<!-- Written by `tinyedge web`; SHA-256 of all below this line: {} -->\n"
_MARK = re.compile(re.escape(_HEAD).replace(re.escape("{}"), "([0-9a-f]{64})").encode())


def page_html(title: str, about: dict[str, Any], wasm: bytes) -> bytes:
    """Return the page of a model.

    Args:
        title: What the model is called; a stranger may have chosen it.
        about: What `tinyedge.browser.description.describe` returned; the same holds of its names.
        wasm: The compiled model.
    """
    more = {
        # Inside a string of JSON, < may be written so, and nothing else ends a script element.
        "about": json.dumps(about, ensure_ascii=False).replace("<", "\\u003c"),
        "module": base64.b64encode(zlib.compress(wasm, 9)).decode("ascii"),
    }
    return _document("page.html", title, _SCRIPTS, "default-src 'none'", more)


def check_page_html() -> bytes:
    """Return the page that checks models; it loads what lies beside it, and nothing else."""
    loads = "default-src 'none'; connect-src 'self'; worker-src 'self'"
    return _document("check.html", "tinyedge check", ("check.js",), loads, {}, "'unsafe-inline'")


def _document(
    template: str, title: str, scripts: Sequence[str], loads: str, more: dict[str, str], styled: str = ""
) -> bytes:
    """Return a page made of assets.

    Args:
        template: With the names of the parts in double braces.
        title: Is escaped.
        scripts: One after the other.
        loads: The beginning of its content policy.
        more: Further parts.
        styled: What styles it may have beside its own; by default none.
    """
    style = (_ASSETS / "page.css").read_text(encoding="utf-8")
    script = "\n".join((_ASSETS / name).read_text(encoding="utf-8") for name in scripts)
    parts = {
        "title": html.escape(title),
        "version": __version__,
        "policy": _policy(style, script, loads, styled),
        "style": style,
        "script": script,
        **more,
    }
    text = (_ASSETS / template).read_text(encoding="utf-8")
    # JSON, and a file's name, may hold halves of characters, which no file can.
    body = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], text).encode("utf-8", "replace")
    return _HEAD.format(hashlib.sha256(body).hexdigest()).encode() + body


def is_own_page(content: bytes) -> bool:
    """Whether `page_html` made these bytes, and nobody changed them since."""
    mark = _MARK.match(content)
    return mark is not None and hashlib.sha256(content[mark.end() :]).hexdigest().encode() == mark[1]


def _policy(style: str, script: str, loads: str, styled: str) -> str:
    """Return a content policy that runs what is on the page alone, and lets it load and send nothing else."""
    own_style, own_script = (
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
        for text in (style, script)
    )
    return (
        f"{loads}; script-src {own_script} 'wasm-unsafe-eval'; style-src {styled or own_style}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
