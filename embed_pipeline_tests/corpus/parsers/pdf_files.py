"""Small PDF files written by hand, so that every byte of the layout is known."""

from collections.abc import Sequence

Line = tuple[float, float, str]  # x, y, text


def make_pdf(pages: Sequence[Sequence[Line]], outline: Sequence[str] = (), title: str = "", encrypted: bool = False):
    """A PDF of Helvetica lines; ``outline`` gives bookmarks to the first page."""
    first_page = 5
    kids = " ".join(f"{first_page + 2 * n} 0 R" for n in range(len(pages)))
    first_bookmark = first_page + 2 * len(pages)
    objects = {
        1: f"<< /Type /Catalog /Pages 2 0 R {'/Outlines 4 0 R' if outline else ''} >>",
        2: f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        3: "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        4: f"<< /Type /Outlines /First {first_bookmark} 0 R /Last {first_bookmark + len(outline) - 1} 0 R >>",
    }
    for n, lines in enumerate(pages):
        number = first_page + 2 * n
        stream = "".join(f"BT /F1 12 Tf {x} {y} Td ({_escape(text)}) Tj ET\n" for x, y, text in lines)
        objects[number] = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {number + 1} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects[number + 1] = f"<< /Length {len(stream)} >>\nstream\n{stream}endstream"
    for n, name in enumerate(outline):
        following = f"/Next {first_bookmark + n + 1} 0 R" if n + 1 < len(outline) else ""
        objects[first_bookmark + n] = f"<< /Title ({_escape(name)}) /Parent 4 0 R {following} /Dest [5 0 R /Fit] >>"
    info = first_bookmark + len(outline)
    objects[info] = f"<< /Title ({_escape(title)}) >>"
    key = "<41" + "42" * 31 + ">"
    objects[info + 1] = f"<< /Filter /Standard /V 1 /R 2 /O {key} /U {key} /P -4 >>"
    trailer = f"/Info {info} 0 R" + (f" /Encrypt {info + 1} 0 R /ID [{key} {key}]" if encrypted else "")
    return _assemble(objects, trailer)


def column(lines: Sequence[str], top: float = 700, left: float = 72, pitch: float = 14) -> list[Line]:
    """Lines under one another; an empty one leaves a gap."""
    return [(left, top - n * pitch, text) for n, text in enumerate(lines) if text]


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
