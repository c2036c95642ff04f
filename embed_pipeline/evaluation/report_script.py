"""The script of report.html, for whoever writes the page and whoever serves it."""

import base64
import hashlib
from importlib import resources


def script() -> str:
    """The script of the page."""
    return resources.files("embed_pipeline.evaluation").joinpath("templates", "report.js").read_text("utf-8")


def script_hash() -> str:
    """``sha256-…`` of the script as it stands in the page, for a Content-Security-Policy."""
    digest = hashlib.sha256(script().encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
