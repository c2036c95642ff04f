"""A home says what it is, an older one is taken as it is, a newer one is not touched."""

import json

import pytest

from embed_pipeline.errors import HomeError
from embed_pipeline.store.artifacts import Store
from embed_pipeline.store.home import HOME_FILE, HOME_VERSION, check_home, is_home, open_home


def test_a_new_home_is_marked_once(tmp_path):
    home = tmp_path / "home"
    assert not is_home(home)
    assert check_home(home) is None
    mark = open_home(home)
    assert is_home(home)
    assert (mark.version, open_home(home)) == (HOME_VERSION, mark)


def test_the_first_lock_of_a_store_marks_its_home(tmp_path):
    Store(tmp_path / "home").lock("table", "key")
    assert check_home(tmp_path / "home") is not None


def test_a_home_of_before_is_known_by_its_folders_and_marked_when_opened(tmp_path):
    for name in ("artifacts", "locks"):
        (tmp_path / name).mkdir()
    assert is_home(tmp_path)
    assert check_home(tmp_path) is None
    open_home(tmp_path)
    assert (tmp_path / HOME_FILE).is_file()


def test_a_newer_home_is_refused_and_stays_as_it_is(tmp_path):
    newer = json.dumps({"kind": "embed_pipeline home", "version": HOME_VERSION + 1, "created": "x", "more": [1]})
    (tmp_path / HOME_FILE).write_text(newer)
    with pytest.raises(HomeError, match="Upgrade embed_pipeline"):
        open_home(tmp_path)
    assert (tmp_path / HOME_FILE).read_text() == newer
    assert is_home(tmp_path)  # so that nobody reads it as documents


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}', '{"kind": "embed_pipeline home", "version": 0}'])
def test_a_damaged_mark_is_named_and_is_no_home(tmp_path, text):
    (tmp_path / HOME_FILE).write_text(text)
    assert not is_home(tmp_path)
    with pytest.raises(HomeError, match=r"home\.json"):
        open_home(tmp_path)


def test_a_document_called_home_json_makes_no_home(tmp_path):
    (tmp_path / HOME_FILE).write_text('{"title": "Our home", "rooms": 3}')
    assert not is_home(tmp_path)
