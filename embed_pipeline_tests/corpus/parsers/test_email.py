from email.message import EmailMessage

import pytest

from embed_pipeline.corpus.parsers.blocks import UnreadableError, join_blocks
from embed_pipeline.corpus.parsers.email import parse_email


def mail(subject: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Ann Lee <ann@example.org>"
    message["To"] = "service@example.org"
    message["Date"] = "Wed, 01 May 2024 10:00:00 +0000"
    message["Subject"] = subject
    return message


HEADERS = "From: Ann Lee <ann@example.org>\nTo: service@example.org\nDate: Wed, 01 May 2024 10:00:00 +0000"


def test_a_mail_with_both_texts_and_attachments():
    message = mail("Grüße vom Kessel")
    message.set_content("The boiler är för kallt.\n\nPlease help.")
    message.add_alternative("<p>The same in HTML.</p>", subtype="html")
    message.add_attachment(b"\x00\x01", maintype="image", subtype="png", filename="boiler.png")
    inner = mail("The first report")
    inner.set_content("It began on Monday.")
    message.add_attachment(inner)
    extracted = parse_email(message.as_bytes())
    text, sections = join_blocks(extracted.blocks)
    assert extracted.title == "Grüße vom Kessel"
    assert [section.heading for section in sections] == ["Grüße vom Kessel", "The first report"]
    assert text == (
        f"Grüße vom Kessel\n\n{HEADERS}\n\nThe boiler är för kallt.\n\nPlease help.\n\n"
        f"The first report\n\n{HEADERS}\n\nIt began on Monday."
    )
    (loss,) = extracted.losses
    assert (loss.kind, loss.count, loss.characters, loss.examples) == ("picture", 1, 0, ("boiler.png",))


def test_html_alone_is_read_as_html():
    message = mail("News")
    message.set_content("<h2>Pumps</h2><p>Price &euro; 45 – <b>only</b> today.</p>", subtype="html", charset="utf-8")
    assert join_blocks(parse_email(message.as_bytes()).blocks)[0].endswith("Pumps\n\nPrice € 45 – only today.")


def test_a_charset_of_its_own_and_one_that_does_not_exist():
    head = b"From: a@example.org\nSubject: x\nContent-Transfer-Encoding: 8bit\nContent-Type: text/plain; charset="
    assert "prix élevé" in join_blocks(parse_email(head + b"iso-8859-1\n\nUn prix \xe9lev\xe9.").blocks)[0]
    assert "prix élevé" in join_blocks(parse_email(head + "nonesuch\n\nUn prix élevé.".encode()).blocks)[0]


def test_what_is_no_mail():
    with pytest.raises(UnreadableError, match="not a valid mail"):
        parse_email(b"Just some text, and a line\nand another.")


@pytest.mark.parametrize("subtype", [b"plain", b"html"])
def test_bytes_that_are_no_characters_are_told(subtype):
    head = b"From: a@example.org\nSubject: x\nContent-Transfer-Encoding: 8bit\nContent-Type: text/" + subtype
    body = "Die Größe der Wörter zählt für die Prüfung. ".encode() + b"\xff"
    extracted = parse_email(head + b"; charset=utf-8\n\n" + body)
    assert join_blocks(extracted.blocks)[0].endswith("Prüfung. \ufffd")
    assert [(loss.kind, loss.count) for loss in extracted.losses] == [("undecodable", 1)]


@pytest.mark.parametrize(
    "date", ["Fri, 27 Nov 2026 10:00:00 +9999999999999", "Mon, 1 Jan 99999999999999999999 00:00:00 +0000"]
)
def test_a_date_that_python_stumbles_over_costs_no_mail(date):
    read = parse_email(f"From: a@b.c\nSubject: Pumps\nDate: {date}\n\nThe pump leaks.\n".encode())
    text = join_blocks(read.blocks)[0]
    assert "The pump leaks." in text and f"Date: {date}" in text and read.title == "Pumps"
    assert "date" not in read.metadata and [loss.kind for loss in read.losses] == ["metadata"]
