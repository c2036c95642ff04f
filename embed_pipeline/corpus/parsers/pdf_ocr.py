"""Text of pages that are pictures, by RapidOCR: its models come with the package, nothing is loaded from elsewhere."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from embed_pipeline.corpus.parsers.losses import Losses
from embed_pipeline.corpus.parsers.pdf_page import Piece, RawPage

_DOTS = 200 / 72  # a point
_SURE_OF_PAGE, _SURE_OF_LINE = 0.9, 0.5  # mean over characters: Russian 0.70, German 0.98
_GREEK, _MOST_GREEK = re.compile(r"[\u0370-\u03ff\u1f00-\u1fff]"), 0.3
_MOST_DOTS = 2000  # of a side, to which the recogniser shrinks larger pictures


def recognise(page: Any, losses: Losses) -> RawPage:
    """The lines that are seen on an open page of pypdfium2, from top to bottom.

    None of a page in a script that the models do not know: what they see there they are not sure of. Single lines that
    they are not sure of are told.
    """
    width, height = page.get_size()
    scale = min(_DOTS, _MOST_DOTS / max(width, height))
    bitmap = page.render(scale=scale, rev_byteorder=False)
    try:
        seen = _recogniser()(bitmap.to_numpy())
    finally:
        bitmap.close()
    if seen.txts is None:
        return RawPage([], width, height)
    lines = list(zip(seen.txts, seen.boxes, seen.scores, strict=True))
    if not _is_sure(lines):
        return RawPage([], width, height)
    for text, _, score in lines:
        if score < _SURE_OF_LINE:
            losses.add("unsure", text)
    pieces = [_piece(text, corners, scale, height) for text, corners, score in lines if score >= _SURE_OF_LINE]
    return RawPage(pieces, width, height)


def _is_sure(lines: Sequence[tuple[str, Any, float]]) -> bool:
    """Whether a page is in letters that the models know; of Greek they know those of formulas only."""
    text = "".join(text for text, *_ in lines)
    sure = sum(score * len(text) for text, _, score in lines) / max(len(text), 1)
    return sure >= _SURE_OF_PAGE and len(_GREEK.findall(text)) < _MOST_GREEK * len(text)


def _piece(text: str, corners: Any, scale: float, height: float) -> Piece:
    """``corners``: 4 x 2, in dots from the left and the top."""
    xs, ys = sorted(corners[:, 0] / scale), sorted(corners[:, 1] / scale)
    return Piece(text, float(xs[0]), height - float(ys[-1]), float(xs[-1]), height - float(ys[0]))


@cache
def _recogniser() -> Any:
    """One of a process, on one thread: documents are read in several processes."""
    from rapidocr import RapidOCR

    threads = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}
    size = {"Det.limit_type": "max", "Det.limit_side_len": _MOST_DOTS}  # small pictures stay small
    return RapidOCR(params={"Global.log_level": "critical", "Global.text_score": 0.0, **size, **threads})
