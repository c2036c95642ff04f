"""Releases are immutable and whole; the pointer moves, comes back and can be undone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from embed_pipeline.errors import DeployError
from embed_pipeline.store.releases import (
    Pointers,
    Release,
    create_release,
    current_release,
    deployments_folder,
    point_to,
    pointers,
    release_in_use,
    restore,
    roll_back,
)


@pytest.fixture
def model(tmp_path) -> Path:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"graph")
    (folder / "sub" / "tokenizer.json").write_text("{}")
    return folder


@pytest.fixture
def home(tmp_path) -> Path:
    return tmp_path / "home"


def named(name: str) -> Release:
    return Release(release_id=f"r-{name}", model_version=f"v-{name}", model_name="m", path=f"releases/r-{name}/model")


def test_a_release_is_a_whole_copy_with_its_description(home, model):
    release = create_release(home, model, "v1", "name")
    folder = home / release.path
    assert (folder / "model.onnx").read_bytes() == b"graph"
    assert (folder / "sub" / "tokenizer.json").is_file()
    assert json.loads((folder.parent / "release.json").read_text()) == release.model_dump()
    (model / "model.onnx").write_bytes(b"later")
    assert (folder / "model.onnx").read_bytes() == b"graph"


def test_creating_it_again_changes_nothing(home, model):
    release = create_release(home, model, "v1", "name")
    stamp = (home / release.path / "model.onnx").stat()
    assert create_release(home, model, "v1", "name") == release
    assert (home / release.path / "model.onnx").stat().st_ino == stamp.st_ino
    assert [path.name for path in (home / "releases").iterdir()] == [release.release_id]


def test_another_version_or_another_name_is_another_release(home, model):
    ids = {
        create_release(home, model, version, name).release_id
        for version, name in (("v1", "a"), ("v2", "a"), ("v1", "b"))
    }
    assert len(ids) == 3


@pytest.mark.parametrize("damage", ["description", "file missing", "file cut"])
def test_a_damaged_release_is_made_again(home, model, damage):
    release = create_release(home, model, "v1", "name")
    folder = home / release.path
    {
        "description": (folder.parent / "release.json").unlink,
        "file missing": (folder / "model.onnx").unlink,
        "file cut": lambda: (folder / "model.onnx").write_bytes(b"g"),
    }[damage]()
    assert create_release(home, model, "v1", "name") == release
    assert (folder / "model.onnx").read_bytes() == b"graph"


def test_a_copy_that_fails_leaves_no_release(home, model, monkeypatch):
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("shutil.copytree", full)
        with pytest.raises(OSError, match="No space"):
            create_release(home, model, "v1", "name")
    assert list((home / "releases").iterdir()) == []


def test_processes_creating_the_same_release_at_once(home, model):
    script = (
        "import sys\nfrom pathlib import Path\nfrom embed_pipeline.store.releases import create_release\n"
        "for n in range(20): create_release(Path(sys.argv[1]), Path(sys.argv[2]), str(n), 'm')\n"
    )
    command = [sys.executable, "-c", script, str(home), str(model)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    errors = [process.communicate()[1].decode() for process in running]
    assert [process.returncode for process in running] == [0, 0], errors
    assert len(list((home / "releases").iterdir())) == 20


def test_the_pointer_remembers_the_release_before(home):
    assert pointers(home) == Pointers(None, None)
    assert release_in_use(home) == set()
    point_to(home, named("a"))
    assert pointers(home) == Pointers(named("a"), None)
    point_to(home, named("b"))
    point_to(home, named("b"))
    assert pointers(home) == Pointers(named("b"), named("a"))
    assert release_in_use(home) == {"r-a", "r-b"}
    assert current_release(home) == named("b")


def test_rolling_back_returns_to_the_release_before_once(home):
    point_to(home, named("a"))
    assert roll_back(home, "r-a") is None
    assert current_release(home) == named("a")
    point_to(home, named("b"))
    assert roll_back(home, "r-b") == "r-a"
    assert current_release(home) == named("a")
    assert roll_back(home, "r-b") is None
    assert roll_back(home, "r-a") is None


def test_a_roll_back_of_what_is_no_longer_served_does_nothing(home):
    for name in "abc":
        point_to(home, named(name))
    assert roll_back(home, "r-b") is None
    assert current_release(home) == named("c")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_pointers_can_be_put_back(home, count):
    for name in "ab"[:count]:
        point_to(home, named(name))
    before = pointers(home)
    point_to(home, named("bad"))
    restore(home, before)
    assert pointers(home) == before


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"release_id": "r"}'])
def test_a_damaged_pointer_is_named(home, text):
    deployments_folder(home).mkdir(parents=True)
    (deployments_folder(home) / "current.json").write_text(text)
    with pytest.raises(DeployError, match=r"current\.json: not a readable release pointer"):
        current_release(home)


def test_a_release_whose_bytes_changed_on_the_disk_is_made_anew(home, model):
    release = create_release(home, model, "v1", "name")
    served = home / release.path / "model.onnx"
    whole = served.read_bytes()
    served.write_bytes(bytes(reversed(whole)) if whole != bytes(reversed(whole)) else b"x" * len(whole))
    (home / "releases" / release.release_id / "release.json").write_text("{x")
    assert create_release(home, model, "v1", "name") == release
    assert served.read_bytes() == whole
    assert json.loads((home / "releases" / release.release_id / "release.json").read_text()) == release.model_dump()
