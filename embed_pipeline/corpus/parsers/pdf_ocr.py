"""Text of pages that are pictures, by RapidOCR: its models come with the package, nothing is loaded from elsewhere."""

from functools import cache
from typing import Any

from embed_pipeline.corpus.parsers.pdf_page import Piece, RawPage

_DOTS = 200 / 72  # a point
_MOST_DOTS = 2000  # of a side, to which the recogniser shrinks larger pictures


def recognise(page: Any) -> RawPage:
    """The lines that are seen on an open page of pypdfium2, from top to bottom."""
    width, height = page.get_size()
    scale = min(_DOTS, _MOST_DOTS / max(width, height))
    bitmap = page.render(scale=scale, rev_byteorder=False)
    try:
        seen = _recogniser()(bitmap.to_numpy())
    finally:
        bitmap.close()
    if seen.txts is None:
        return RawPage([], width, height)
    pieces = [_piece(text, corners, scale, height) for text, corners in zip(seen.txts, seen.boxes, strict=True)]
    return RawPage(pieces, width, height)


def _piece(text: str, corners: Any, scale: float, height: float) -> Piece:
    """``corners``: 4 x 2, in dots from the left and the top."""
    xs, ys = sorted(corners[:, 0] / scale), sorted(corners[:, 1] / scale)
    return Piece(text, float(xs[0]), height - float(ys[-1]), float(xs[-1]), height - float(ys[0]))


@cache
def _recogniser() -> Any:
    """One of a process, on one thread: documents are read in several processes."""
    from rapidocr import RapidOCR

    threads = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}
    return RapidOCR(params={"Global.log_level": "critical", **threads})
