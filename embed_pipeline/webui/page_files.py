"""Files of our own pages, which load nothing but themselves and run no script but their own."""

from importlib import resources
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)
NO_STORE = {"Cache-Control": "no-store"}
"""Header of an answer that is another one a moment later."""
SHARED = "/embed_pipeline/shared.js"
"""What the scripts of all pages share."""
KINDS = {"html": "text/html", "js": "application/javascript", "css": "text/css"}


def page_files(address: str, name: str) -> list[Route]:
    """Routes of ``name.html`` at an address, of ``name.js`` and ``name.css`` at the same with their ending, and of
    :data:`SHARED`.
    """
    own = [
        Route(address if ending == "html" else f"{address}.{ending}", _file(f"{name}.{ending}", kind))
        for ending, kind in KINDS.items()
    ]
    return [*own, Route(SHARED, _file("shared.js", KINDS["js"]))]


def _file(name: str, kind: str) -> Any:
    async def endpoint(_: Request) -> Response:
        content = resources.files("embed_pipeline.webui").joinpath(name).read_text("utf-8")
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": POLICY}
        return Response(content, media_type=kind, headers=headers)

    return endpoint
