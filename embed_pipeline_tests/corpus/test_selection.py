"""What belongs to the corpus: patterns, .embedignore as git reads .gitignore, samples; and what a change of it does."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from embed_pipeline.automation.corpus_watch import list_corpus
from embed_pipeline.corpus.documents import read_documents
from embed_pipeline.corpus.fingerprint_cache import cached_fingerprint
from embed_pipeline.corpus.manifest import corpus_fingerprint, include_warning, listed_fingerprint, scan_corpus
from embed_pipeline.corpus.selection import EXCLUDED, IGNORED, NOT_INCLUDED, NOT_SAMPLED, selection_of
from embed_pipeline.errors import InputError
from embed_pipeline.settings import CorpusSettings
from embed_pipeline.settings.sources import load_settings

FILES = ("a.md", "b.txt", "notes/a.md", "notes/deep/c.txt", "drafts/d.md", "drafts/keep.md", "image.png")


@pytest.fixture
def root(tmp_path):
    for name in FILES:
        file = tmp_path / "corpus" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            f"# {name}\n\nA document about {name}, long enough to be read and to be told apart from others."
        )
    return tmp_path / "corpus"


def reasons(root, **settings):
    """path -> why it is skipped, None where it is read."""
    return dict(scan_corpus(root, CorpusSettings(**settings)).select("path", "reason").iter_rows())


def read(root, **settings):
    return [path for path, reason in reasons(root, **settings).items() if reason is None]


def fingerprint(root, **settings):
    return corpus_fingerprint(root, selection_of(CorpusSettings(**settings)))


def test_patterns_that_leave_no_file_are_named_with_some_of_the_files(root):
    (root / ".hidden.pdf").write_text("not looked at")
    with pytest.raises(InputError) as refused:
        read(root, include=["*.pdf", "/manuals/"], exclude=["drafts/"])
    told = str(refused.value)
    assert "corpus.include leaves no file: '*.pdf', '/manuals/' fit none of the 5 files looked at" in told
    assert "(a.md, b.txt, image.png, …)" in told and "not in corpus.include" not in told
    with pytest.raises(InputError, match=r"leaves no file: what fits is taken back again, of the 7 files"):
        read(root, include=["*.md", "!*.md"])
    with pytest.raises(InputError, match=r"no file in the corpus folder can be read .*unsupported format \.png"):
        read(root, include=["*.png"])


def test_a_pattern_that_fits_nothing_beside_others_is_told(root):
    def warning(*include: str) -> str | None:
        chosen = CorpusSettings(include=include)
        return include_warning(scan_corpus(root, chosen), chosen)

    told = warning("*.md", "*.pdf", "!drafts/none.md")
    assert told is not None and told.startswith("corpus.include: '*.pdf' fits none of the 7 files looked at (a.md, ")
    assert warning("*.md", "notes/") is None and warning() is None
    assert warning("*.md", "*.png") is None, "it fits a file, though not one that can be read"


def test_patterns_choose_and_say_why(root):
    assert read(root, include=["*.md"]) == ["a.md", "drafts/d.md", "drafts/keep.md", "notes/a.md"]
    assert read(root, include=["notes/", "!notes/deep/"]) == ["notes/a.md"]
    assert read(root, exclude=["drafts/*", "!drafts/keep.md", "/a.md"]) == [
        "b.txt",
        "drafts/keep.md",
        "notes/a.md",
        "notes/deep/c.txt",
    ]
    told = reasons(root, include=["*.md"], exclude=["drafts/"])
    assert told["drafts"] == EXCLUDED and "drafts/d.md" not in told
    assert told["b.txt"] == NOT_INCLUDED


def test_ignore_files_count_for_their_folder_and_the_inner_one_wins(root):
    (root / ".embedignore").write_text("\ufeff# not yet\n*.txt\ndrafts/\n", "utf-8")
    (root / "notes" / ".embedignore").write_text("!c.txt\n/a.md\n", "utf-8")
    assert read(root) == ["a.md", "notes/deep/c.txt"]
    told = reasons(root)
    assert told["b.txt"] == told["drafts"] == told["notes/a.md"] == IGNORED
    assert read(root, exclude=["c.txt"]) == ["a.md"]  # what the settings exclude no file takes back


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"*.md\n[\n", "line 2: .*is no pattern"), (b"\xff\xfe\xff", "cannot be read"), (None, "is a link")],
)
def test_an_ignore_file_that_cannot_be_used_stops_the_reading(content, says, root):
    file = root / "notes" / ".embedignore"
    if content is None:
        file.symlink_to(root / "b.txt")
    else:
        file.write_bytes(content)
    with pytest.raises(InputError, match=rf"notes/\.embedignore.*{says}"):
        scan_corpus(root, CorpusSettings())


def test_the_change_detection_follows(root, tmp_path):
    chosen = CorpusSettings(exclude=["drafts/"])
    selection, cache = selection_of(chosen), tmp_path / "files.json"
    before = fingerprint(root, exclude=["drafts/"])
    assert cached_fingerprint(root, cache, selection) == listed_fingerprint(scan_corpus(root, chosen)) == before
    (root / "drafts" / "d.md").write_text("changed")
    (root / "drafts" / "new.md").write_text("new")
    assert cached_fingerprint(root, cache, selection) == before != fingerprint(root)
    (root / ".embedignore").write_text("b.txt")
    after = cached_fingerprint(root, cache, selection)
    assert after == listed_fingerprint(scan_corpus(root, chosen)) != before
    (root / "b.txt").unlink()
    assert cached_fingerprint(root, cache, selection) == after


def test_what_watches_the_folder_sees_what_belongs_alone(root):
    settings = load_settings(None, None, [f"corpus.path={root}", 'corpus.exclude=["drafts/"]'], {})
    before = list_corpus(settings, root.parent / "home").signature
    (root / "drafts" / "d.md").write_text("changed")
    assert list_corpus(settings, root.parent / "home").signature == before
    (root / "a.md").write_text("changed")
    assert list_corpus(settings, root.parent / "home").signature != before


def test_without_any_choice_nothing_changes(root):
    assert fingerprint(root) == corpus_fingerprint(root)
    assert reasons(root)["image.png"] == "unsupported format .png"


def test_a_sample_takes_documents_the_same_ones_each_time(root):
    taken = read(root, sample=3)
    assert len(taken) == 3 and taken == read(root, sample=3)
    told = reasons(root, sample=3)
    assert [reason for reason in told.values() if reason not in (None, NOT_SAMPLED)] == ["unsupported format .png"]
    assert set(read(root, sample=2)) < set(taken) < set(read(root, sample=4))
    assert len(read(root, sample=99)) == 6
    chosen = CorpusSettings(sample=3)
    assert read_documents(root, scan_corpus(root, chosen), chosen).documents.height == 3
    assert listed_fingerprint(scan_corpus(root, chosen)) == fingerprint(root, sample=3)


def test_what_cannot_be_read_takes_no_place_in_a_sample(root):
    (root / "empty.md").touch()
    (root / "large.md").write_text("x" * 3000)
    for size in range(1, 7):
        assert len(read(root, sample=size, max_file_mb=0.002)) == size


@given(st.sets(st.text("abcdef", min_size=1, max_size=5), min_size=4, max_size=30), st.integers(1, 8))
def test_a_document_that_is_added_changes_one_of_a_sample_at_most(tmp_path_factory, names, size):
    root = tmp_path_factory.mktemp("sampled")
    added, *others = sorted(names)
    for name in others:
        (root / f"{name}.txt").write_text(name)
    before = set(read(root, sample=size))
    (root / f"{added}.txt").write_text(added)
    assert len(before - set(read(root, sample=size))) <= 1


def test_a_data_set_is_read_whole(tmp_path):
    (tmp_path / "corpus.jsonl").write_text('{"_id": "1", "title": "", "text": "A pump."}\n')
    for choice in ({"sample": 1}, {"include": ["*"]}, {"exclude": ["*.md"]}):
        with pytest.raises(InputError, match="is a data set, which is read whole"):
            scan_corpus(tmp_path, CorpusSettings(**choice))


def test_nothing_left_is_an_error_with_the_reasons(root):
    with pytest.raises(InputError, match=r"folder can be read \(a\.md: excluded by corpus\.exclude"):
        scan_corpus(root, CorpusSettings(exclude=["*"]))


LINES = st.lists(
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["", "!", "/", "!/"]),
        st.sampled_from(["a.md", "*.md", "notes", "drafts", "deep", "notes/*", "**/c.txt", "drafts/**", "?.txt", "d*"]),
        st.sampled_from(["", "/"]),
    ),
    max_size=4,
)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not there")
@settings(max_examples=60, deadline=None)
@given(LINES, LINES)
@example(["drafts/**/"], [])
@example(["**/c.txt"], ["!deep"])
@example(["drafts", "!drafts/**"], [])
@example(["drafts/**", "!drafts/keep.md"], ["deep/**", "!c.txt"])
def test_ignore_files_mean_what_git_makes_of_them(tmp_path_factory, outer, inner):
    root = tmp_path_factory.mktemp("as_git")
    documents = [name for name in FILES if not name.endswith(".png")]
    for name in documents:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    for folder, lines in (("", outer), ("notes", inner)):
        for name in (".embedignore", ".gitignore"):
            (root / folder / name).write_text("\n".join(lines) + "\n")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    listed = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    expected = sorted(name for name in listed if not Path(name).name.startswith("."))
    if expected:
        assert read(root) == expected
    else:
        with pytest.raises(InputError, match="no file in the corpus folder can be read"):
            read(root)
