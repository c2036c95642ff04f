"""Writing values into a settings file: only their lines change."""

import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.errors import SettingsError
from embed_pipeline.settings.edit import changed_lines, edited, set_values
from embed_pipeline.settings.settings_yaml import read_yaml

FILE = """\
# the settings of a small shop
profile: cpu   # no GPU there

corpus:
    path: docs   # relative
    # max_file_mb: 10

finetune:
    # nothing yet
eval:
    gold: "gold"
    ks:   # the cut-offs
        - 1
        - 10
# the end
"""


def changes(text: str, **values: object) -> list[str]:
    return changed_lines(text, edited(text, {name.replace("__", "."): one for name, one in values.items()}, "f.yaml"))


def test_a_value_changes_in_its_place_and_its_comment_stays():
    assert changes(FILE, corpus__path="./contracts") == [
        "-    path: docs   # relative",
        "+    path: ./contracts   # relative",
    ]


def test_a_value_of_several_lines_becomes_one():
    assert changes(FILE, eval__ks=[1, 5, 10]) == [
        "-    ks:   # the cut-offs", "-        - 1", "-        - 10", "+    ks: [1, 5, 10]   # the cut-offs"
    ]  # fmt: skip


def test_new_settings_stand_at_the_end_of_their_section_in_the_indentation_of_the_file():
    new = edited(FILE, {"corpus.max_file_mb": 5, "finetune.epochs": 2, "sdg.llm.model": "on"}, "f.yaml")
    assert new == (
        FILE.replace("relative\n", "relative\n    max_file_mb: 5\n")
        .replace("finetune:\n", "finetune:\n    epochs: 2\n")
        .replace("        - 10\n", "        - 10\nsdg:\n    llm:\n        model: 'on'\n")
    )


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("", "finetune:\n  epochs: 2\n"),
        ("# only words", "# only words\nfinetune:\n  epochs: 2\n"),
        ("finetune: {}\n", "finetune: {epochs: 2}\n"),
        ("finetune: {epochs: 1, seed: 3} # short\n", "finetune: {epochs: 2, seed: 3} # short\n"),
        ("{corpus: {path: a}}\n", "{corpus: {path: a}, finetune: {epochs: 2}}\n"),
        ("finetune: ~\nbase_model: x", "finetune: \n  epochs: 2\nbase_model: x"),
        ("finetune:\n  epochs:\n  seed: 1\n", "finetune:\n  epochs: 2\n  seed: 1\n"),
        ("base_model: x", "base_model: x\nfinetune:\n  epochs: 2\n"),
        ("x: &d {epochs: 1}\nfinetune:\n  <<: *d\n", "x: &d {epochs: 1}\nfinetune:\n  <<: *d\n  epochs: 2\n"),
        ("base_model: x\r\n", "base_model: x\r\nfinetune:\r\n  epochs: 2\r\n"),
        ("sdg:\n  prompts: |\n    a\n    b\n\n", "sdg:\n  prompts: |\n    a\n    b\nfinetune:\n  epochs: 2\n\n"),
    ],
)
def test_ways_of_writing_a_file(text, new):
    assert edited(text, {"finetune.epochs": 2}, "f.yaml") == new


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("base: &b\n  epochs: 1\nfinetune: *b\n", {"finetune.epochs": 2}),
        ("a: {epochs: &e 3}\nfinetune: {epochs: *e}\n", {"a.epochs": 2}),
        ("finetune:\n- epochs\n", {"finetune.epochs": 2}),
        ("- a list\n", {"finetune.epochs": 2}),
    ],
)
def test_what_cannot_be_changed_alone_is_refused(text, value, tmp_path):
    file = tmp_path / "pipeline.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=r"pipeline\.yaml"):
        set_values(file, value)
    assert file.read_text() == text


def test_the_file_is_made_and_left_alone_when_it_says_so_already(tmp_path):
    file = tmp_path / "new" / "pipeline.yaml"
    assert set_values(file, {"corpus.path": Path("docs"), "finetune.epochs": 2}) == [
        "+corpus:", "+  path: docs", "+finetune:", "+  epochs: 2"
    ]  # fmt: skip
    os.utime(file, (1, 1))
    assert set_values(file, {"finetune.epochs": 2}) == []
    assert file.stat().st_mtime == 1


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.yaml").write_text("base_model: a\n")
    link = tmp_path / "pipeline.yaml"
    link.symlink_to("real.yaml")
    set_values(link, {"base_model": "b"})
    assert link.is_symlink()
    assert (tmp_path / "real.yaml").read_text() == "base_model: b\n"


def test_a_file_that_is_no_text_or_no_yaml_is_told(tmp_path):
    file = tmp_path / "pipeline.yaml"
    for content in (b"\xff\xfe\x00", b"a: [1\n", b"a: 1\na: 2\n"):
        file.write_bytes(content)
        with pytest.raises(SettingsError, match=r"pipeline\.yaml"):
            set_values(file, {"base_model": "x"})
        assert file.read_bytes() == content


LEAVES = st.one_of(
    st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none(), st.text(max_size=12),
    st.sampled_from(["on", "007", "2026-01-01", "~", "query: ", "# no", "a, b", "[x", "1e-4", "0o17", "-"]),
    st.lists(st.one_of(st.integers(), st.text(max_size=4)), max_size=3),
)  # fmt: skip
NAMES = st.sampled_from(["alpha", "beta", "gamma", "delta"])
SECTIONS = st.dictionaries(NAMES, st.one_of(LEAVES, st.dictionaries(NAMES, LEAVES, min_size=1, max_size=3)), max_size=4)


@given(
    SECTIONS,
    st.sampled_from([True, False, None]),
    st.sampled_from([2, 4]),
    st.sampled_from(["alpha", "beta.gamma", "beta.alpha.delta", "new.one"]),
    LEAVES,
)
def test_what_was_written_is_read_and_comments_stay(before, flow, indent, name, value):
    written = yaml.safe_dump(before, default_flow_style=flow, indent=indent, allow_unicode=True) if before else ""
    text = "".join(f"{line}\n" for line in ["# first", *written.splitlines(), "# last"])
    if read_yaml(text, "f") != (before or None):
        return  # text with line ends of other kinds, which the lines above break
    parents = name.split(".")[:-1]
    if parents and before.get(parents[0]) is not None and not says_sections(before, parents):
        with pytest.raises(SettingsError, match="is no section"):
            edited(text, {name: value}, "f.yaml")
        return
    new = edited(text, {name: value}, "f.yaml")
    found = read_yaml(new, "f")
    for part in name.split("."):
        found = found[part]
    assert found == value
    untouched = [line for line in text.splitlines() if not any(part in line for part in name.split("."))]
    if flow is False and not isinstance(
        before.get(name.partition(".")[0]), list | dict | str
    ):  # whose lines hold no name
        assert [line for line in untouched if line not in new.splitlines()] == []
    assert {"# first", "# last"} <= set(new.splitlines())


def says_sections(values: dict, names: list[str]) -> bool:
    for name in names:
        if not isinstance(values, dict):
            return False
        values = values.get(name)
        if values is None:
            return True
    return isinstance(values, dict)
