"""Mails: who wrote when to whom, and the text; attachments are told."""

from collections.abc import Iterator
from dataclasses import replace
from email.message import EmailMessage
from typing import cast

from embed_pipeline.corpus.parsers.blocks import Block, Extracted, UnreadableError, one_line
from embed_pipeline.corpus.parsers.html import EmptyPageError, parse_html
from embed_pipeline.corpus.parsers.losses import Losses, joined
from embed_pipeline.corpus.parsers.metadata import About
from embed_pipeline.corpus.parsers.text import decode

_HEADERS = ("From", "To", "Cc", "Date")
_TOLD = {"url": "Archived-At", "date": "Date", "tags": "Keywords", "language": "Content-Language"}
"""What is told of a mail; not who wrote it, since an address is told of a person."""


def parse_email(data: bytes) -> Extracted:
    """The subject as heading, sender and date, then the text (plain if there is any, else the HTML one).

    Raises:
        UnreadableError: there is no mail in the file.
    """
    from email import message_from_bytes
    from email.policy import default

    message = message_from_bytes(data, policy=default)
    if not any(_values(message, name) for name in (*_HEADERS, "Subject", "Received", "Message-ID")):
        raise UnreadableError("not a valid mail (.eml): it has none of a mail's headers")
    losses = Losses()
    parts = list(_message(message, losses))
    about = About(losses)
    for name, header in _TOLD.items():
        for value in _values(message, header):
            about.add(name, value.strip().removeprefix("<").removesuffix(">"))
    told = joined([losses.told(), *(part.losses for part in parts)])
    blocks = [block for part in parts for block in part.blocks]
    return Extracted(blocks, _value(message, "Subject"), told, about.told())


def _value(message: EmailMessage, name: str) -> str:
    return one_line(next(iter(_values(message, name)), ""))


def _values(message: EmailMessage, name: str) -> list[str]:
    """What headers of a name say; as they are written where Python stumbles over one, as over absurd dates."""
    try:
        return [str(value) for value in message.get_all(name, []) if value]
    except Exception:
        return [str(raw) for key, raw in message.raw_items() if key.lower() == name.lower()]


def _message(message: EmailMessage, losses: Losses) -> Iterator[Extracted]:
    """The mail, then those that were attached to it."""
    said = {name: _value(message, name) for name in _HEADERS}
    headers = [f"{name}: {value}" for name, value in said.items() if value]
    subject = _value(message, "Subject")
    yield Extracted([Block(subject, 1), Block("\n".join(headers))])
    body = message.get_body(("plain", "html"))
    if body is not None:
        yield _body(cast("EmailMessage", body))
    for part in message.iter_attachments():
        if part.get_content_type() == "message/rfc822":
            yield from _message(cast("EmailMessage", part.get_payload(0)), losses)
        elif part is not body:
            losses.add("picture", part.get_filename() or part.get_content_type(), characters=0)


def _body(part: EmailMessage) -> Extracted:
    content = part.get_payload(decode=True)
    data = content if isinstance(content, bytes) else b""
    charset, losses = part.get_content_charset(), Losses()
    if part.get_content_type() != "text/html":
        return Extracted([Block(decode(data, charset, losses))], losses=losses.told())
    try:
        page = parse_html(decode(data, charset, losses).encode())
    except EmptyPageError:
        return Extracted([])
    losses.take(page.losses)
    return replace(page, losses=losses.told())
