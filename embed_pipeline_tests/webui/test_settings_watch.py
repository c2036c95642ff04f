"""Which settings changed, and when it is worth looking."""

import os

import pytest

from embed_pipeline.errors import SettingsError
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.webui.settings_watch import SettingsSource, SettingsWatch, differences, summary


def settings(*overrides):
    return load_settings(None, None, overrides, {})


def source(folder, file=None, *overrides):
    return SettingsSource(file, folder, None, overrides)


def test_a_change_is_told_once_after_the_file_has_rested(tmp_path):
    file = tmp_path / "pipeline.yaml"
    file.write_text("finetune: {epochs: 2}\n")
    watch = SettingsWatch(source(tmp_path))
    assert not watch.has_changed()
    file.write_text("finetune: {epochs: 33}\n")
    assert [watch.has_changed() for _ in range(4)] == [False, True, False, False]
    assert watch.source.read().finetune.epochs == 33


def test_a_file_that_is_still_being_written_is_left_alone(tmp_path):
    file = tmp_path / "pipeline.yaml"
    watch = SettingsWatch(source(tmp_path))
    for number in range(4):
        file.write_text("#" * (number + 1))
        assert not watch.has_changed()
    assert watch.has_changed()


def test_replaced_removed_and_made_anew(tmp_path):
    file = tmp_path / "pipeline.yaml"
    file.write_text("finetune: {epochs: 2}\n")
    watch = SettingsWatch(source(tmp_path))
    other = tmp_path / "other"
    other.write_text("finetune: {epochs: 4}\n")
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    other.replace(file)  # as editors do; same size, same time
    assert [watch.has_changed() for _ in range(2)] == [False, True]
    file.unlink()
    assert [watch.has_changed() for _ in range(2)] == [False, True]
    assert watch.source.read() == settings()


def test_a_file_that_was_named_must_be_there(tmp_path):
    named = source(tmp_path, tmp_path / "mine.yaml", "finetune.epochs=3")
    with pytest.raises(SettingsError, match="no such settings file"):
        named.read()
    (tmp_path / "mine.yaml").write_text("finetune: {batch_size: 4}\n")
    read = named.read()
    assert (read.finetune.epochs, read.finetune.batch_size) == (3, 4)


def test_differences_name_old_and_new_but_no_address():
    before = settings("sdg.llm.model=a", "sdg.llm.base_url=https://a.example/v1?key=sk-1")
    after = settings("sdg.llm.model=b", "sdg.llm.base_url=https://b.example/v1?key=sk-2", "finetune.epochs=9",
                     "eval.ks=[1,10]", "sdg.query_mix.keyword=7")  # fmt: skip
    assert differences(before, before) == []
    assert differences(before, after) == [
        "eval.ks: [1, 5, 10, 100] -> [1, 10]",
        f"finetune.epochs: {before.finetune.epochs} -> 9",
        "sdg.llm.base_url",
        "sdg.llm.model: a -> b",
        "sdg.query_mix.keyword: 2.0 -> 7.0",
    ]


def test_many_are_cut_short():
    assert summary([str(number) for number in range(10)]).endswith("7 and 2 more")


@pytest.mark.parametrize("named", [True, False])
def test_a_pipe_in_its_place_is_told_instead_of_waited_for(tmp_path, named):
    os.mkfifo(tmp_path / "pipeline.yaml")
    with pytest.raises(SettingsError, match="is no regular file"):
        source(tmp_path, tmp_path / "pipeline.yaml" if named else None).read()
