"""Small PDF files written by hand, so that every byte of the layout is known."""

from collections.abc import Sequence

Line = tuple[float, float, str] | tuple[float, float, str, float]  # x, y, text, and the size where it is not 12


def make_pdf(
    pages: Sequence[Sequence[Line]],
    outline: Sequence[str] = (),
    title: str = "",
    encrypted: bool = False,
    drawn: str = "",
    annotations: Sequence[str] = (),
    rotate: int = 0,
    details: str = "",
    language: str = "",
    xmp: Sequence[str] = (),
):
    """A PDF of Helvetica lines on pages of 612 by 792 points.

    ``outline`` gives bookmarks to the first page; ``drawn`` is more content of every page; ``annotations`` are
    dictionaries on the first page, those of form fields among them; ``rotate`` turns every page when it is shown.
    ``details`` is more of the info dictionary, ``language`` that of the catalog; the first ``xmp`` is the document's.
    """
    first_page = 5
    kids = " ".join(f"{first_page + 2 * n} 0 R" for n in range(len(pages)))
    first_bookmark = first_page + 2 * len(pages)
    first_annotation = first_bookmark + len(outline) + 2
    references = " ".join(f"{first_annotation + n} 0 R" for n in range(len(annotations)))
    form = f"/AcroForm << /Fields [{references}] >>" if annotations else ""
    first_packet = first_annotation + len(annotations)
    about = (f"/Lang ({language})" if language else "") + (f"/Metadata {first_packet} 0 R" if xmp else "")
    objects = {
        1: f"<< /Type /Catalog /Pages 2 0 R {'/Outlines 4 0 R' if outline else ''} {form} {about} >>",
        2: f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        3: "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        4: f"<< /Type /Outlines /First {first_bookmark} 0 R /Last {first_bookmark + len(outline) - 1} 0 R >>",
    }
    for n, lines in enumerate(pages):
        number = first_page + 2 * n
        stream = drawn + "".join(map(_text, lines))
        notes = f"/Annots [{references}]" if annotations and n == 0 else ""
        objects[number] = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {number + 1} 0 R "
            f"/Rotate {rotate} {notes} "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects[number + 1] = f"<< /Length {len(stream)} >>\nstream\n{stream}endstream"
    for n, name in enumerate(outline):
        following = f"/Next {first_bookmark + n + 1} 0 R" if n + 1 < len(outline) else ""
        objects[first_bookmark + n] = f"<< /Title ({_escape(name)}) /Parent 4 0 R {following} /Dest [5 0 R /Fit] >>"
    info = first_bookmark + len(outline)
    objects[info] = f"<< /Title ({_escape(title)}) {details} >>"
    key = "<41" + "42" * 31 + ">"
    objects[info + 1] = f"<< /Filter /Standard /V 1 /R 2 /O {key} /U {key} /P -4 >>"
    objects |= {first_annotation + n: annotation for n, annotation in enumerate(annotations)}
    for n, packet in enumerate(xmp):
        head = f"<< /Type /Metadata /Subtype /XML /Length {len(packet)} >>"
        objects[first_packet + n] = f"{head}\nstream\n{packet}\nendstream"
    trailer = f"/Info {info} 0 R" + (f" /Encrypt {info + 1} 0 R /ID [{key} {key}]" if encrypted else "")
    return _assemble(objects, trailer)


def column(lines: Sequence[str], top: float = 700, left: float = 72, pitch: float = 14) -> list[Line]:
    """Lines under one another; an empty one leaves a gap."""
    return [(left, top - n * pitch, text) for n, text in enumerate(lines) if text]


def text_field(name: str, value: str, box: str, flags: int = 0) -> str:
    """A field with text, its box in points as ``left bottom right top``."""
    return (
        f"<< /Type /Annot /Subtype /Widget /FT /Tx /T ({_escape(name)}) /V ({_escape(value)}) /Rect [{box}] /F 4 "
        f"/Ff {flags} >>"
    )


def tick_box(name: str, ticked: bool, box: str) -> str:
    """A box to tick."""
    state = "/Yes" if ticked else "/Off"
    return (
        f"<< /Type /Annot /Subtype /Widget /FT /Btn /T ({name}) /V {state} /AS {state} /Rect [{box}] /F 4 "
        "/AP << /N << /Yes << >> /Off << >> >> >> >>"
    )


def _text(line: Line) -> str:
    x, y, text, size = (*line, 12)[:4]
    return f"BT /F1 {size} Tf {x} {y} Td ({_escape(text)}) Tj ET\n"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def _assemble(objects: dict[int, str], trailer: str) -> bytes:
    out, offsets = bytearray(b"%PDF-1.4\n"), []
    for number in sorted(objects):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{objects[number]}\nendobj\n".encode("latin-1")
    start = len(out)
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    out += f"xref\n0 {size}\n0000000000 65535 f \n{table}".encode()
    out += f"trailer\n<< /Size {size} /Root 1 0 R {trailer} >>\nstartxref\n{start}\n%%EOF\n".encode()
    return bytes(out)
