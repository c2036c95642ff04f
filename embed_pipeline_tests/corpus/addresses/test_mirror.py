import itertools
import json
import sys
import threading
from pathlib import Path

import pytest

from embed_pipeline.corpus.addresses import mirror as mirrors
from embed_pipeline.corpus.addresses.file_systems import FileSystem
from embed_pipeline.corpus.addresses.listing import OutOfTimeError, Pace
from embed_pipeline.corpus.addresses.looking import looking_only
from embed_pipeline.corpus.addresses.mirror import Mirror
from embed_pipeline.corpus.addresses.reading import address_version, corpus_at, listed
from embed_pipeline.corpus.documents import read_documents
from embed_pipeline.corpus.manifest import listed_fingerprint, scan_corpus
from embed_pipeline.corpus.selection import selection_of
from embed_pipeline.errors import DiskFullError, InputError, SettingsError
from embed_pipeline.settings import CorpusSettings

ADDRESS = "memory://corpus"
TEXT = "The loft warden checks the skein before every lofting and writes it into the gust ledger."
SETTINGS = CorpusSettings()


def put(memory, **files):
    for name, content in files.items():
        memory.pipe(f"/corpus/{name}", content.encode() if isinstance(content, str) else content)


@pytest.fixture
def fetched(monkeypatch):
    """The paths that were fetched."""
    paths, fetch = [], FileSystem.fetch

    def noted(self, entry, part, check):
        fetch(self, entry, part, check)
        paths.append(entry.path)

    monkeypatch.setattr(FileSystem, "fetch", noted)
    return paths


def version(home, settings=SETTINGS):
    return address_version(ADDRESS, home, selection_of(settings))


def manifest(home, settings=SETTINGS):
    with corpus_at(ADDRESS, home) as root:
        return scan_corpus(root, settings)


def reasons(home, settings=SETTINGS):
    return dict(manifest(home, settings).select("path", "reason").rows())


def test_a_run_reads_what_lies_there_as_it_reads_a_folder(memory, home, tmp_path):
    put(memory, **{"a.md": f"# A\n\n{TEXT}", "sub/b.txt": TEXT})
    found = version(home)
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    (tmp_path / "folder" / "a.md").write_text(f"# A\n\n{TEXT}")
    (tmp_path / "folder" / "sub" / "b.txt").write_text(TEXT)
    local = scan_corpus(tmp_path / "folder", SETTINGS)
    assert manifest(home).equals(local)
    assert found == listed_fingerprint(local)
    with corpus_at(ADDRESS, home) as root:
        assert read_documents(root, local, SETTINGS).documents["doc_id"].to_list() == ["a.md", "sub/b.txt"]


def test_only_what_changed_is_fetched(memory, home, fetched):
    put(memory, **{"a.md": TEXT, "b.md": TEXT, "c.md": TEXT})
    before = version(home)
    assert sorted(fetched) == ["a.md", "b.md", "c.md"]
    fetched.clear()
    assert version(home) == before
    assert fetched == []
    put(memory, **{"b.md": f"{TEXT} More."})
    memory.rm("/corpus/c.md")
    assert version(home) != before
    assert fetched == ["b.md"]
    assert not (Mirror.of(ADDRESS, home).tree / "c.md").exists()
    assert manifest(home)["path"].to_list() == ["a.md", "b.md"]


def test_the_same_content_written_anew_is_fetched_and_is_no_change(memory, home, fetched):
    put(memory, **{"a.md": TEXT})
    before = version(home)
    put(memory, **{"a.md": TEXT})
    assert version(home) == before
    assert fetched == ["a.md", "a.md"]


def test_who_only_looks_sees_a_change_and_fetches_nothing(memory, home, fetched):
    put(memory, **{"a.md": TEXT})
    with looking_only():
        unknown = version(home)
    assert fetched == []
    known = version(home)
    with looking_only():
        assert version(home) == known != unknown
    put(memory, **{"b.md": TEXT})
    fetched.clear()
    with looking_only():
        assert version(home) not in (known, unknown)
    assert fetched == []


def test_what_is_skipped_is_told_and_not_fetched(memory, home, fetched):
    put(
        memory,
        **{
            "a.md": TEXT,
            "big.txt": "x" * 2000,
            "pic.png": b"x",
            "Makefile": b"x",
            "empty.txt": b"",
            ".hidden.md": TEXT,
            ".git/config.md": TEXT,
            "~$lock.docx": b"x",
            "old/drafts/d.md": TEXT,
            "no.md": TEXT,
        },
    )
    settings = CorpusSettings(max_file_mb=0.001, exclude=("drafts/", "no.md"))
    found = version(home, settings)
    assert fetched == ["a.md"]
    assert reasons(home, settings) == {
        "a.md": None,
        "big.txt": "larger than corpus.max_file_mb (0.0 MB > 0.001 MB)",
        "pic.png": "unsupported format .png",
        "Makefile": "no file suffix",
        "empty.txt": "empty file",
        ".hidden.md": "hidden file",
        ".git": "hidden folder",
        "~$lock.docx": "lock file of an office program",
        "old/drafts": "excluded by corpus.exclude",
        "no.md": "excluded by corpus.exclude",
    }
    assert found == listed_fingerprint(manifest(home, settings))
    put(memory, **{"old/drafts/d.md": "changed", "no.md": "changed"})
    assert version(home, settings) == found


def test_embedignore_include_and_sample_decide_as_in_a_folder(memory, home, fetched, tmp_path):
    names = [f"n{number}.md" for number in range(6)] + ["sub/k.md", "sub/skip.md", "sub/deep/skip.md", "t.txt"]
    files = {name: f"{TEXT} {name}" for name in names} | {"sub/.embedignore": "skip.md\n"}
    put(memory, **files)
    for name, content in files.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_text(content)
    for settings in (
        CorpusSettings(),
        CorpusSettings(include=("*.md",)),
        CorpusSettings(sample=3),
        CorpusSettings(include=("sub/",), sample=2),
    ):
        fetched.clear()
        found = version(home, settings)
        local = scan_corpus(tmp_path / "folder", settings)
        assert manifest(home, settings).equals(local)
        assert found == listed_fingerprint(local)
    assert listed(ADDRESS, home, settings)["status"].to_list() == local["status"].to_list()


def test_an_embedignore_that_cannot_be_used_names_the_address(memory, home):
    put(memory, **{"a.md": TEXT, "sub/.embedignore": "../up\n"})
    with pytest.raises(InputError, match=r"memory://corpus/sub/\.embedignore, line 1: '\.\./up' is no pattern"):
        version(home)


@pytest.mark.parametrize("kind", ["beir", "rows", "records", "training"])
def test_data_sets_and_tables_are_read_as_in_a_folder(kind, memory, home, tmp_path, fetched):
    rows = {
        "beir": ("corpus.jsonl", {"_id": "d1", "title": "T", "text": TEXT}),
        "rows": ("table.jsonl", {"key": "d1", "body": TEXT}),
        "training": ("train.jsonl", {"query": "who checks the skein?", "pos": [TEXT], "neg": ["x y"]}),
        "records": (
            "part.jsonl",
            {
                "file_name": ["f.txt"],
                "text": TEXT,
                "chunks": [{"chunk_id": 1, "text": TEXT}],
                "deduplicated_qa_pairs": [],
            },
        ),
    }
    name, row = rows[kind]
    settings = CorpusSettings(columns={"id": "key", "text": "body"}) if kind == "rows" else SETTINGS
    text = json.dumps(row) + "\n"
    put(memory, **{name: text, "README.txt": "about"})
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / name).write_text(text)
    (tmp_path / "folder" / "README.txt").write_text("about")
    found = version(home, settings)
    local = scan_corpus(tmp_path / "folder", settings)
    assert fetched == [name]
    assert manifest(home, settings).equals(local)
    assert found == listed_fingerprint(local)
    with corpus_at(ADDRESS, home) as root:
        there = read_documents(root, local, settings)
    here = read_documents(tmp_path / "folder", local, settings)
    assert (there.kind, there.documents.equals(here.documents)) == (kind, True)


def test_a_file_may_be_named_itself(memory, home):
    put(memory, **{"rows.csv": f"key,body\n1,{TEXT}\n"})
    settings = CorpusSettings(columns={"id": "key", "text": "body"})
    address_version("memory://corpus/rows.csv", home, selection_of(settings))
    with corpus_at("memory://corpus/rows.csv", home) as root:
        frame = scan_corpus(root, settings)
        assert read_documents(root, frame, settings).documents["text"].to_list() == [TEXT]
    put(memory, **{"one.md": TEXT})
    with pytest.raises(InputError, match="names a single file that is no archive"):
        address_version("memory://corpus/one.md", home, selection_of(SETTINGS))


def test_errors_of_rows_name_the_address(memory, home):
    put(memory, **{"table.jsonl": "{broken\n"})
    settings = CorpusSettings(columns={"text": "body"})
    version(home, settings)
    with pytest.raises(InputError, match=r"^memory://corpus/table.jsonl, line 1"), corpus_at(ADDRESS, home) as root:
        read_documents(root, scan_corpus(root, settings), settings)


def test_a_download_that_ends_early_leaves_nothing_half_and_goes_on(memory, home, fetched, monkeypatch):
    monkeypatch.setattr("embed_pipeline.corpus.addresses.file_systems.PIECE", 1000)
    put(memory, **{"a.md": TEXT * 100, "b.md": TEXT})
    mirror = Mirror.of(ADDRESS, home)
    listing = mirror.look()
    choice = mirror.choice(listing, selection_of(SETTINGS))
    checks = itertools.count()

    class Short(Pace):
        def check(self):
            if next(checks) > 5:
                raise OutOfTimeError

    assert mirror.fetch(listing, choice, Short()) is False
    assert not (mirror.tree / "a.md").exists()
    (part,) = [one for one in mirror.folder.glob("parts/*.part") if one.stat().st_size >= 1000]
    kept = part.stat().st_size
    asked = []
    read = type(memory).cat_file

    def cat(self, path, start=None, end=None, **others):
        asked.append((path, start))
        return read(self, path, start=start, end=end, **others)

    monkeypatch.setattr(type(memory), "cat_file", cat)
    assert mirror.fetch(listing, choice)
    assert ("/corpus/a.md", 0) not in asked and ("/corpus/a.md", kept) in asked
    assert (mirror.tree / "a.md").read_text() == TEXT * 100
    assert not (mirror.folder / "parts").exists()


def test_a_file_that_changes_while_it_is_fetched_is_not_taken(memory, home, monkeypatch):
    monkeypatch.setattr("embed_pipeline.corpus.addresses.file_systems.PIECE", 1000)
    put(memory, **{"a.md": TEXT * 100})
    mirror = Mirror.of(ADDRESS, home)
    listing = mirror.look()
    put(memory, **{"a.md": TEXT.upper() * 100})
    with pytest.raises(InputError, match=r"memory://corpus: a.md: changed while it was being fetched"):
        mirror.fetch(listing, mirror.choice(listing, selection_of(SETTINGS)))
    assert not (mirror.tree / "a.md").exists()


def test_a_log_that_a_kill_cut_costs_one_file(memory, home, fetched):
    put(memory, **{"a.md": TEXT, "b.md": TEXT})
    before = version(home)
    log = Mirror.of(ADDRESS, home).folder / "fetched.jsonl"
    log.write_text(log.read_text()[:-8])
    fetched.clear()
    assert version(home) == before
    assert len(fetched) == 1


def test_a_copy_that_somebody_emptied_is_made_again(memory, home, fetched):
    put(memory, **{"a.md": TEXT})
    before = version(home)
    (Mirror.of(ADDRESS, home).tree / "a.md").unlink()
    assert version(home) == before
    assert fetched == ["a.md", "a.md"]


def test_two_who_fetch_at_once_fetch_once(memory, home, fetched):
    put(memory, **{f"{number}.md": TEXT for number in range(20)})
    found = []
    threads = [threading.Thread(target=lambda: found.append(version(home))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(fetched) == 20


def test_names_that_no_folder_can_hold_are_skipped_by_name(memory, home):
    put(memory, **{"a.md": TEXT, "sub/a.md": TEXT, f"{'n' * 300}.md": TEXT, "back\\slash.md": TEXT})
    memory.store["/corpus/sub"] = memory.store["/corpus/a.md"]  # as object stores allow
    version(home)
    found = reasons(home)
    assert found[f"{'n' * 300}.md"] == found["back\\slash.md"] == "its name cannot be that of a file below the corpus"
    assert found["a.md"] is found["sub/a.md"] is None


def test_nothing_there_is_no_empty_corpus(memory, home):
    with pytest.raises(InputError, match=r"memory://corpus: (nothing lies|there is nothing) at this address"):
        version(home)


def test_a_disk_that_is_too_small_is_told_before(memory, home, monkeypatch):
    put(memory, **{"a.md": TEXT})
    monkeypatch.setattr(mirrors, "_SPARE_BYTES", 10**18)
    with pytest.raises(DiskFullError, match=r"memory://corpus: .* are to be fetched"):
        version(home)


def test_copies_that_nobody_asked_for_in_a_long_time_go(memory, home, monkeypatch):
    put(memory, **{"a.md": TEXT})
    version(home)
    memory.pipe("/other/a.md", TEXT.encode())
    monkeypatch.setattr(mirrors, "_KEPT_SECONDS", -1)
    other = Mirror.of("memory://other", home)
    gone: list[Path] = []
    monkeypatch.setattr(mirrors, "remove_tree", gone.append)
    address_version("memory://other", home, selection_of(SETTINGS))
    assert Mirror.of(ADDRESS, home).folder in gone
    assert other.folder.exists()


def test_an_unknown_kind_of_address_and_a_missing_package_are_told(home, monkeypatch):
    with pytest.raises(SettingsError, match="foo:// is no kind of address"):
        Mirror.of("foo://x/y", home)
    with pytest.raises(SettingsError, match="needs a package of its own: pip install gcsfs"):
        Mirror.of("gs://x/y", home)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(SettingsError, match=r'extra s3: pip install "embed-pipeline\[s3\]"'):
        Mirror.of("s3://x/y", home)
