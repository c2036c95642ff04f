"""How the guard says no: JSON for programs, a page for people, both with what to do."""

from html import escape

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, JSONResponse, Response

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1rem;color:#222}}
h1{{font-size:1.3rem}}label{{display:block;margin:1rem 0}}input{{display:block;width:100%;font:inherit;padding:.4rem;
box-sizing:border-box}}button{{font:inherit;padding:.4rem 1.2rem}}.problem{{color:#a40000}}</style></head>
<body><h1>{title}</h1>{body}</body></html>
"""


def page(title: str, body: str, status: int = 200, headers: dict[str, str] | None = None) -> HTMLResponse:
    """A small page of our own; ``body`` is HTML."""
    content = PAGE.format(title=escape(title), body=body)
    policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'"
    return HTMLResponse(
        content, status, {"Content-Security-Policy": policy, "Cache-Control": "no-store", **(headers or {})}
    )


def refusal(
    request_headers: Headers, status: int, reason: str, advice: str, headers: dict[str, str] | None = None
) -> Response:
    """The answer to a request that is refused."""
    if "text/html" in request_headers.get("accept", ""):
        return page("Refused", f"<p class=problem>{escape(reason)}</p><p>{escape(advice)}</p>", status, headers)
    return JSONResponse({"errors": [{"message": f"{reason} {advice}"}]}, status, headers)
