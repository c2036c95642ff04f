"""Is anything of a document lost without a word? Characters of the files against those of the documents.

    python benchmarks/losses.py ../shared/cases ../shared/corpora/cuad-pdf        # fails above 2 %
    python benchmarks/losses.py --told ../shared/corpora/cuad-pdf                 # what is told as left out

Each file is read twice: by the stage ``documents``, and by another way that shares no code with it
(``other_readers.py``: pdftotext of poppler-utils; Python's own HTML parser; the XML of a Word document; the raw text of
the others without their markup). Letters and digits are compared, form (NFKC), case and white space aside; the order
does not count.

The words of the file that are not in the document are *missing*, as often as they are missing. Words that were joined
or parted on the way (hyphens at line ends, cells, Chinese lines) are not: a missing word that stands within a new word
of the document, or the other way round, is taken off. What the table ``dropped`` tells as left out is taken off the
rest; what then remains is **unexplained**. A file that is skipped is told by name, hence not compared.

The check fails where more than 2 % of all characters of a format in a folder are unexplained, or more than 10 % of one
document (with ``--each 0.02`` more than 2 %).
"""

import argparse
import json
import re
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from other_readers import READERS, UNSEEN

LIMIT, LIMIT_OF_ONE = 0.02, 0.10
NAMED = 5
_WORD = re.compile(r"[^\W_]+")
_MOST_WORK = 4_000_000_000


@dataclass(frozen=True)
class Comparison:
    """One document against its file, in letters and digits.

    Attributes:
        given: of the file.
        missing: of these not in the document.
        told: characters that the table of losses tells as left out.
        added: of the document, not in the file.
        lost: some of the missing words.
    """

    name: str
    format: str
    given: int
    missing: int
    told: int
    added: int
    lost: str

    @property
    def unexplained(self) -> int:
        return max(0, self.missing - self.told)

    @property
    def share(self) -> float:
        return self.unexplained / max(self.given, 1)


# -- the measure


def words(text: str) -> Counter[str]:
    """Runs of letters and digits, how often each stands there."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return Counter(_WORD.findall("".join(filter(_counts, plain))))


def _counts(char: str) -> bool:
    """All but marks and what shows nothing."""
    return char.isspace() or unicodedata.category(char)[0] not in "CM"


def difference(given: str, made: str) -> tuple[str, str]:
    """Words of ``given`` that are not in ``made``, and the other way round, where none is a part of the other's."""
    before, after = words(given), words(made)
    missing, added = _spelled(before - after), _spelled(after - before)
    if len(missing) * len(added) > _MOST_WORK:
        return missing, added
    missing, added = _taken_off(missing, added)
    added, missing = _taken_off(added, missing)
    return missing, added


def _spelled(counted: Mapping[str, int]) -> str:
    return "\n".join(word for word, count in counted.items() for _ in range(count))


def _taken_off(one: str, other: str) -> tuple[str, str]:
    """Both without the words of ``one`` that stand within ``other``, each as often as it does; long ones first."""
    left = []
    for word in sorted(filter(None, one.split("\n")), key=len, reverse=True):
        place = other.find(word)
        if place < 0:
            left.append(word)
        else:
            other = f"{other[:place]}\n{other[place + len(word) :]}"
    return "\n".join(left), other


def _size(spelled: str) -> int:
    return len(spelled) - spelled.count("\n")


# -- folders


def compared(folder: Path) -> tuple[list[Comparison], list[tuple[str, str]]]:
    """Every document of a folder against its file, and what was skipped with the reason."""
    from embed_pipeline.corpus.documents import parse_corpus
    from embed_pipeline.corpus.manifest import scan_corpus
    from embed_pipeline.corpus.parsers.losses import DROPPED
    from embed_pipeline.corpus.parsers.registry import format_of
    from embed_pipeline.settings import CorpusSettings

    settings = CorpusSettings(min_document_chars=1)
    manifest = scan_corpus(folder, settings)
    parsed = parse_corpus(folder, manifest, settings)
    told: dict[str, Counter[str]] = {}
    for doc_id, kind, characters in parsed.dropped.select("doc_id", "kind", "characters").iter_rows():
        told.setdefault(doc_id, Counter())[kind] += characters if kind in DROPPED else 0
    rows = parsed.documents.select("doc_id", "path", "title", "text").iter_rows()
    given = _rows_of(folder / "corpus.jsonl") if parsed.kind == "beir" else None
    found = []
    for doc_id, path, title, text in rows:
        chosen = format_of(path)
        name = "beir" if given is not None else chosen.name if chosen is not None else ""
        if given is None and name not in READERS:
            continue
        source = given[doc_id] if given is not None else READERS[name](folder / path)
        left_out = sum(count for kind, count in told.get(doc_id, {}).items() if kind not in UNSEEN.get(name, ()))
        found.append(compare(doc_id, name, source, f"{title}\n{text}", left_out))
    listed = manifest.filter(manifest["status"] == "skipped").select("path", "reason").rows()
    return found, [*parsed.skipped.rows(), *listed]


def _rows_of(path: Path) -> dict[str, str]:
    rows = (json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip())
    return {str(row.get("_id", row.get("id"))): f"{row.get('title') or ''}\n{row['text']}" for row in rows}


def compare(name: str, format_name: str, given: str, made: str, told: int) -> Comparison:
    """One document; ``told``: characters that are told as left out."""
    missing, added = difference(given, made)
    return Comparison(
        name,
        format_name,
        _size(_spelled(words(given))),
        _size(missing),
        told,
        _size(added),
        " ".join(missing.split()[:12]),
    )


def failures(found: Iterable[Comparison], each: float) -> list[str]:
    """A line for every format of a folder, and every document, of which too much is unexplained."""
    lines, by_format = [], _by_format(found)
    for name, rows in by_format.items():
        share = _share(rows)
        if share > LIMIT:
            lines.append(f"{name}: {share:.1%} of the characters are unexplained")
        lines += [
            f"{one.name}: {one.share:.1%} ({one.lost})"
            for one in sorted(rows, key=lambda one: -one.share)
            if one.share > each
        ]
    return lines


def _by_format(found: Iterable[Comparison]) -> dict[str, list[Comparison]]:
    rows: dict[str, list[Comparison]] = {}
    for one in found:
        rows.setdefault(one.format, []).append(one)
    return dict(sorted(rows.items()))


def _share(rows: Sequence[Comparison]) -> float:
    return sum(one.unexplained for one in rows) / max(sum(one.given for one in rows), 1)


def check(folders: Sequence[Path], each: float) -> int:
    """Print a row for every format of every folder; the exit code."""
    print("| folder | format | documents | skipped | characters | missing | told | unexplained | added | out | worst |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    wrong: list[str] = []
    for folder in folders:
        found, skipped = compared(folder)
        for name, rows in _by_format(found).items():
            worst = max(rows, key=lambda one: one.share)
            sums = [sum(getattr(one, figure) for one in rows) for figure in ("given", "missing", "told")]
            added = sum(one.added for one in rows)
            cells = (
                _short(folder), name, f"{len(rows):,}", f"{len(skipped):,}", *(f"{value:,}" for value in sums),
                f"{_share(rows):.2%}", f"{added:,}", f"{sums[0] - sums[1] + added:,}",
                f"{worst.name} {worst.share:.1%}",
            )  # fmt: skip
            print(f"| {' | '.join(cells)} |", flush=True)
        wrong += [f"{_short(folder)}: {line}" for line in failures(found, each)]
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


def tell(folders: Sequence[Path]) -> int:
    """Print what the stage ``documents`` tells of each folder as left out or replaced."""
    from embed_pipeline.corpus.documents import read_documents
    from embed_pipeline.corpus.dropped import MUCH, dropped_totals, lost_shares
    from embed_pipeline.corpus.manifest import scan_corpus
    from embed_pipeline.settings import CorpusSettings

    print("| folder | kind | pieces | characters left out | documents | of all characters |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    notes = []
    for folder in folders:
        began, settings = time.perf_counter(), CorpusSettings()
        parsed = read_documents(folder, scan_corpus(folder, settings), settings)
        seconds = time.perf_counter() - began
        characters = int(parsed.documents["text"].str.replace_all(r"\s", "").str.len_chars().sum())
        whole = characters + int(parsed.dropped["characters"].sum())
        for kind, count, lost, documents in dropped_totals(parsed.dropped).iter_rows():
            print(f"| {_short(folder)} | {kind} | {count:,} | {lost:,} | {documents:,} | {lost / whole:.2%} |")
        much = int((lost_shares(parsed.documents, parsed.dropped)["share"] > MUCH).sum())
        notes.append(
            f"- {_short(folder)}: {parsed.documents.height:,} documents, {characters:,} characters, "
            f"{parsed.skipped.height:,} skipped, {much:,} lost more than {MUCH:.0%}; {seconds:.1f} s"
        )
    print("\n" + "\n".join(notes))
    return 0


def _short(folder: Path) -> str:
    parts = folder.resolve().parts
    return "/".join(parts[parts.index("shared") + 1 :] if "shared" in parts else parts[-1:]).removeprefix("corpora/")


def main() -> None:
    """Compare, or tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="folders of documents or BEIR folders")
    parser.add_argument("--each", type=float, default=LIMIT_OF_ONE, help="share of one document that fails the check")
    parser.add_argument("--told", action="store_true", help="print what the documents tell as left out instead")
    given = parser.parse_args()
    sys.exit(tell(given.folders) if given.told else check(given.folders, given.each))


if __name__ == "__main__":
    main()
