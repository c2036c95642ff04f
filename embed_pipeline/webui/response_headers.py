"""Headers of every answer: not framed by others, not guessed at, not read by other origins."""

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

FRAMES = "frame-ancestors 'self'"
ALWAYS = {
    "X-Frame-Options": "SAMEORIGIN",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def with_security_headers(send: Send) -> Send:
    """``send`` that adds them; a Content-Security-Policy that is there already is kept and narrowed."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in ALWAYS.items():
                headers[name] = value
            policy = headers.get("content-security-policy", "").rstrip("; ")
            headers["Content-Security-Policy"] = f"{policy}; {FRAMES}" if policy else FRAMES
        await send(message)

    return sending
