"""The artifact store: content decides the version, a kill leaves what was, two processes may work at once."""

import json
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed_pipeline.errors import ArtifactError
from embed_pipeline.files import temporary_folder
from embed_pipeline.store.artifacts import DATA, MANIFEST, Artifact, Store, stage_key


def values(key: str, asset: str = "table") -> dict[str, object]:
    return {
        "asset": asset,
        "key": key,
        "stage_version": "1",
        "settings": {"a": 1},
        "inputs": {"up": "v"},
        "external": {},
        "started": "2026-01-01T00:00:00+00:00",
        "seconds": 0.1,
        "host": "h",
        "device": "cpu",
        "libraries": {},
    }


def commit(store: Store, key: str, content: str, name: str = "file.txt", **changed: object) -> Artifact:
    with temporary_folder(store.staging("table"), "new") as staged:
        path = staged / DATA / name
        path.parent.mkdir(parents=True)
        path.write_text(content)
        return store.commit(staged, values(key) | changed)


def leftovers(store: Store) -> list[str]:
    return [path.name for path in (store.root / "table").iterdir() if path.name.endswith(".tmp")]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "home")


def test_an_unknown_key_and_an_unknown_asset_give_nothing(store):
    assert store.lookup("table", "k") is None
    assert store.current("table") is None
    assert store.pointer("table") == {}
    assert store.of_run("run", "table") is None


def test_a_committed_artifact_is_found_by_its_key_also_by_another_process(store):
    made = commit(store, "k1", "hello")
    again = Store(store.home)
    assert again.lookup("table", "k1") == made
    assert again.lookup("table", "k2") is None
    assert made.file("file.txt").read_text() == "hello"
    manifest = made.manifest()
    assert (manifest.key, manifest.version, manifest.inputs) == ("k1", made.version, {"up": "v"})
    assert manifest.files["file.txt"].bytes == 5
    assert leftovers(store) == []


def test_the_same_content_from_another_key_is_the_same_version(store):
    first, second = commit(store, "k1", "hello"), commit(store, "k2", "hello")
    assert first == second
    assert store.lookup("table", "k1") == store.lookup("table", "k2") == first
    assert first.manifest().key == "k1"  # immutable: the first maker's manifest stays


def test_a_key_tells_what_its_work_was(store):
    first, second = commit(store, "k1", "hello"), commit(store, "k2", "hello", inputs={"up": "w"}, started="2027")
    made = store.made_by(second, "k2")
    assert (made.key, made.inputs, made.started, made.settings) == ("k2", {"up": "w"}, "2027", {"a": 1})
    assert made.files == first.manifest().files
    assert store.made_by(first, "k1") == first.manifest()
    assert store.last_made(first) == first.manifest()  # no pointer yet
    store.point(second, "k2", "computed", 1.0)
    assert Store(store.home).last_made(first) == made
    other = commit(store, "k3", "other")
    store.point(other, "k3", "computed", 1.0)
    assert store.last_made(first) == first.manifest()  # the pointer names another


@pytest.mark.parametrize(
    "change",
    [{"version": "gone"}, {"seconds": "soon"}, {"inputs": 7}, {"settings": None}, "older", "cut", "removed"],
)
def test_of_a_key_that_tells_nothing_the_manifest_is_told(store, change):
    made = commit(store, "k1", "hello")
    commit(store, "k2", "hello", inputs={"up": "w"})
    store.point(made, "k2", "computed", 1.0)
    file = store.root / "table" / "keys" / "k2.json"
    known = json.loads(file.read_text())
    if change == "older":
        file.write_text(json.dumps({"version": made.version, "inputs": {"up": "w"}}))
    elif change == "cut":
        file.write_text(file.read_text()[:-9])
    elif change == "removed":
        file.unlink()
    else:
        file.write_text(json.dumps(known | change))
    assert Store(store.home).last_made(made) == made.manifest()
    assert made.manifest().inputs == {"up": "v"}


@settings(max_examples=8)
@given(st.dictionaries(st.sampled_from(["a", "b", "d/e"]), st.binary(max_size=8), max_size=3))
def test_the_version_is_a_function_of_paths_and_bytes_alone(tmp_path_factory, content):
    versions = set()
    for _ in range(2):
        store = Store(tmp_path_factory.mktemp("home"))
        with temporary_folder(store.staging("table"), "new") as staged:
            (staged / DATA).mkdir()
            for name, data in content.items():
                (staged / DATA / name).parent.mkdir(exist_ok=True)
                (staged / DATA / name).write_bytes(data)
            versions.add(store.commit(staged, values("k")).version)
        with temporary_folder(store.staging("table"), "new") as staged:
            (staged / DATA).mkdir()
            (staged / DATA / "other").write_bytes(b"x")
            assert store.commit(staged, values("k2")).version not in versions
    assert len(versions) == 1


def test_another_name_or_another_content_is_another_version(store):
    versions = {
        commit(store, "k1", "x").version,
        commit(store, "k2", "y").version,
        commit(store, "k3", "x", "other.txt").version,
    }
    assert len(versions) == 3


@pytest.mark.parametrize("damage", ["changed", "shortened", "removed", "manifest removed", "manifest cut"])
def test_a_damaged_artifact_is_not_found_and_a_commit_repairs_it(store, damage):
    made = commit(store, "k1", "hello")
    path = made.path / "file.txt"
    {
        "changed": lambda: path.write_text("jello"),
        "shortened": lambda: path.write_text("h"),
        "removed": path.unlink,
        "manifest removed": (made.folder / MANIFEST).unlink,
        "manifest cut": lambda: (made.folder / MANIFEST).write_bytes((made.folder / MANIFEST).read_bytes()[:-9]),
    }[damage]()
    fresh = Store(store.home)
    assert fresh.lookup("table", "k1") is None
    assert commit(fresh, "k1", "hello") == made
    assert fresh.lookup("table", "k1") == made
    assert made.file("file.txt").read_text() == "hello"


def test_a_manifest_removed_under_a_running_process_is_noticed(store):
    made = commit(store, "k1", "hello")
    (made.folder / MANIFEST).unlink()
    assert store.lookup("table", "k1") is None


def test_a_manifest_that_fits_other_content_does_not_vouch_for_this(store):
    first, second = commit(store, "k1", "hello"), commit(store, "k2", "other")
    (second.path / "file.txt").write_text("hello")
    (second.folder / MANIFEST).write_bytes((first.folder / MANIFEST).read_bytes())
    assert Store(store.home).lookup("table", "k2") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '"text"', '{"version": "gone"}', "{}"])
def test_a_damaged_key_or_pointer_means_unknown(store, text):
    commit(store, "k1", "hello")
    (store.root / "table" / "keys" / "k1.json").write_text(text)
    assert Store(store.home).lookup("table", "k1") is None


def test_going_back_to_the_first_settings_finds_the_first_artifact(store):
    first = commit(store, "a", "A")
    store.point(first, "a", "computed", 1.0)
    second = commit(store, "b", "B")
    store.point(second, "b", "computed", 1.0)
    back = Store(store.home).lookup("table", "a")
    assert back == first
    store.point(back, "a", "reused", 0.0)
    assert store.current("table") == first
    assert store.lookup("table", "b") == second


def test_the_pointer_says_what_happened_for_everybody_and_for_the_run(store):
    made = commit(store, "k1", "hello")
    store.point(made, "k1", "computed", 1.23456, run_id="run1")
    pointer = store.pointer("table")
    assert (pointer["version"], pointer["outcome"], pointer["seconds"]) == (made.version, "computed", 1.235)
    other = commit(store, "k2", "other")
    store.point(other, "k2", "computed", 1.0)
    assert store.current("table") == other
    assert store.of_run("run1", "table") == made


def test_a_kill_before_the_rename_leaves_the_artifact_before(store, monkeypatch):
    before = commit(store, "k1", "old")
    store.point(before, "k1", "computed", 1.0)

    def killed(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            commit(store, "k2", "new")
    fresh = Store(store.home)
    assert fresh.current("table") == before
    assert fresh.lookup("table", "k2") is None
    assert leftovers(store) == []
    assert commit(fresh, "k2", "new").file("file.txt").read_text() == "new"


def test_a_kill_between_the_rename_and_the_key_costs_only_the_work(store):
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom embed_pipeline.store.artifacts import Store\n"
        "from embed_pipeline_tests.store.test_artifacts import commit\n"
        "Store.record_key = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "commit(Store(Path(sys.argv[1])), 'k1', 'hello')\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(store.home)], check=False)
    assert done.returncode == -9
    assert store.lookup("table", "k1") is None
    made = commit(store, "k1", "hello")
    assert Store(store.home).lookup("table", "k1") == made


def test_half_an_artifact_under_the_final_name_is_replaced(store):
    made = commit(store, "k1", "hello")
    version = made.version
    (made.folder / MANIFEST).unlink()
    (made.path / "file.txt").write_text("half")
    assert commit(Store(store.home), "k9", "hello").version == version
    assert made.file("file.txt").read_text() == "hello"


def test_many_processes_giving_the_same_content_at_once(store):
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom embed_pipeline.store.artifacts import Store\n"
        "from embed_pipeline_tests.store.test_artifacts import commit\n"
        "time.sleep(max(0.0, float(sys.argv[3]) - time.time()))\n"
        "for n in range(20): commit(Store(Path(sys.argv[1])), f'{sys.argv[2]}{n}', f'same {n}')\n"
    )
    start = str(time.time() + 2)
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(store.home), name, start], stderr=subprocess.PIPE)
        for name in "ab"
    ]
    errors = [process.communicate()[1].decode() for process in running]
    assert [process.returncode for process in running] == [0, 0], errors
    for number in range(20):
        found = {name: store.lookup("table", f"{name}{number}") for name in "ab"}
        assert found["a"] is not None
        assert found["a"] == found["b"]
    assert leftovers(store) == []


def test_scratch_survives_until_the_commit(store):
    scratch = store.work_folder("table", "k1")
    (scratch / "checkpoint").write_text("half way")
    assert (store.work_folder("table", "k1") / "checkpoint").read_text() == "half way"
    assert store.work_folder("table", "k2") != scratch
    commit(store, "k1", "done")
    assert not scratch.exists()


def test_handles_read_tables_and_json_lazily(store):
    with temporary_folder(store.staging("table"), "new") as staged:
        (staged / DATA).mkdir()
        pl.DataFrame({"a": [1, 2]}).write_parquet(staged / DATA / "table.parquet")
        (staged / DATA / "facts.json").write_text(json.dumps({"n": 2}))
        made = store.commit(staged, values("k"))
    assert made.frame()["a"].to_list() == [1, 2]
    assert made.scan().select(pl.col("a").sum()).collect().item() == 3
    assert made.json("facts") == {"n": 2}
    with pytest.raises(ArtifactError, match=r"has no rejected\.parquet .* --force table"):
        made.frame("rejected")
    with pytest.raises(ArtifactError, match="cannot be read"):
        store.handle("table", "nope").manifest()


def test_every_part_of_the_work_decides_its_key():
    plain = stage_key("1", {"a": 1, "b": 2}, {"up": "v"}, {"corpus": "c"})
    assert plain == stage_key("1", {"b": 2, "a": 1}, {"up": "v"}, {"corpus": "c"})
    others = {
        stage_key("2", {"a": 1, "b": 2}, {"up": "v"}, {"corpus": "c"}),
        stage_key("1", {"a": 1, "b": 3}, {"up": "v"}, {"corpus": "c"}),
        stage_key("1", {"a": 1, "b": 2}, {"up": "w"}, {"corpus": "c"}),
        stage_key("1", {"a": 1, "b": 2}, {"up": "v"}, {"corpus": "d"}),
        stage_key("1", {"a": 1, "b": 2}, {"up": "v"}, {}),
        stage_key("1", {"a": 1, "b": "2"}, {"up": "v"}, {"corpus": "c"}),
    }
    assert len(others | {plain}) == 7


def test_the_layout_is_the_documented_one(store):
    made = commit(store, "k1", "hello")
    store.point(made, "k1", "computed", 1.0, run_id="r")
    for path in (
        f"artifacts/table/{made.version}/data/file.txt",
        f"artifacts/table/{made.version}/manifest.json",
        "artifacts/table/keys/k1.json",
        "artifacts/table/current.json",
        "runs/r/table.json",
    ):
        assert (store.home / path).is_file(), path


def committed_as(store: Store, asset: str, key: str) -> None:
    with temporary_folder(store.staging(asset), "new") as staged:
        (staged / DATA).mkdir()
        (staged / DATA / "file.txt").write_text(asset)
        store.commit(staged, values(key, asset))


def test_a_key_is_looked_for_among_the_kin(store):
    """Assets of one name in variants and the main graph, and of one family."""
    committed_as(store, "thorough__checkpoint", "of a variant")
    committed_as(store, "checkpoint_round_1", "of a round")
    committed_as(store, "deep__checkpoint_round_2", "of a round in a variant")
    for asset in ("checkpoint", "other__checkpoint"):
        assert store.lookup(asset, "of a variant").asset == "thorough__checkpoint"
        assert store.lookup(asset, "of a round") is None
        assert store.lookup(asset, "of a round", "checkpoint").asset == "checkpoint_round_1"
        assert store.lookup(asset, "of a round in a variant", "checkpoint").asset == "deep__checkpoint_round_2"
    assert store.lookup("metrics", "of a variant") is None
    committed_as(store, "checkpoint", "of a variant")
    assert store.lookup("checkpoint", "of a variant").asset == "checkpoint"  # its own before others
