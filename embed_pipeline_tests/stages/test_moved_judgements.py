"""Judgements that moved, told by the stage."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from embed_pipeline.progress import SilentReporter, reporting
from embed_pipeline.records import RetrievalSet
from embed_pipeline.stages.moved_judgements import JUDGED, tell_moved

TEXTS = {"guide.md#0000": "The winch reels the tether in.", "guide.md#0001": "A brake holds the drum."}
MOVED = {"guide.md#0000": "A new foreword.", "guide.md#0001": TEXTS["guide.md#0000"], "guide.md#0002": "More."}


class Heard(SilentReporter):
    """Keeps the lines a user would read."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)


def told(folder: Path, texts: dict[str, str], previous: Path | None, gold: Path) -> Any:
    folder.mkdir(parents=True)
    run = SimpleNamespace(
        settings=SimpleNamespace(eval=SimpleNamespace(all_gold={"lawyers": gold})),
        folder=folder,
        summary={},
        previous=lambda: None if previous is None else SimpleNamespace(path=previous),
    )
    one = RetrievalSet("lawyers", texts, {"q": "what holds the drum?"}, {"q": {"guide.md#0001": 1}})
    tell_moved(run, [one])  # type: ignore[arg-type]
    return run


def test_a_moved_judgement_is_told_in_every_later_run(tmp_path: Path) -> None:
    gold = tmp_path / "gold"
    gold.mkdir()
    first = told(tmp_path / "1", TEXTS, None, gold)
    assert first.summary == {}
    previous = first.folder
    for number in "23":
        heard = Heard()
        with reporting(heard):
            run = told(tmp_path / number, MOVED, previous, gold)
        assert run.summary == {"judgements_moved": 1}
        assert "eval.gold_sets.lawyers: 1 judgement names a passage" in heard.lines[0]
        previous = run.folder


def test_a_gold_set_with_a_corpus_of_its_own_cannot_move(tmp_path: Path) -> None:
    gold = tmp_path / "gold"
    gold.mkdir()
    (gold / "corpus.jsonl").touch()
    first = told(tmp_path / "1", TEXTS, None, gold)
    assert told(tmp_path / "2", MOVED, first.folder, gold).summary == {}
    assert (first.folder / JUDGED).read_text("utf-8") == ""
