"""One HTML file that holds a compiled model, what runs it, and a mark by which tinyedge knows it again."""

import base64
import hashlib
import html
import json
import re
import zlib
from pathlib import Path
from typing import Any

from tinyedge.version import __version__

_ASSETS = Path(__file__).parent / "assets"
_SCRIPTS = ("resample.js", "model.js", "page.js")
_HEAD = "<!DOCTYPE html>\n<!-- Written by `tinyedge web`; SHA-256 of all below this line: {} -->\n"
_MARK = re.compile(re.escape(_HEAD).replace(re.escape("{}"), "([0-9a-f]{64})").encode())


def page_html(title: str, about: dict[str, Any], wasm: bytes) -> bytes:
    """Return the page.

    Args:
        title: What the model is called; a stranger may have chosen it.
        about: What `tinyedge.browser.description.describe` returned; the same holds of its names.
        wasm: The compiled model.
    """
    style = (_ASSETS / "page.css").read_text(encoding="utf-8")
    script = "\n".join((_ASSETS / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    parts = {
        "title": html.escape(title),
        "version": __version__,
        "policy": _policy(style, script),
        "style": style,
        "script": script,
        # Inside a string of JSON, < may be written so, and nothing else ends a script element.
        "about": json.dumps(about, ensure_ascii=False).replace("<", "\\u003c"),
        "module": base64.b64encode(zlib.compress(wasm, 9)).decode("ascii"),
    }
    template = (_ASSETS / "page.html").read_text(encoding="utf-8")
    # JSON, and a file's name, may hold halves of characters, which no file can.
    body = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template).encode("utf-8", "replace")
    return _HEAD.format(hashlib.sha256(body).hexdigest()).encode() + body


def is_own_page(content: bytes) -> bool:
    """Whether `page_html` made these bytes, and nobody changed them since."""
    mark = _MARK.match(content)
    return mark is not None and hashlib.sha256(content[mark.end() :]).hexdigest().encode() == mark[1]


def _policy(style: str, script: str) -> str:
    """Return a content policy that runs what is on the page alone, and lets nothing be loaded or sent."""
    styles, scripts = (
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
        for text in (style, script)
    )
    return (
        f"default-src 'none'; script-src {scripts} 'wasm-unsafe-eval'; style-src {styles}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
