"""Patterns of paths: as git reads them, and none that would silently fit nothing."""

import pytest

from embed_pipeline.errors import SettingsError
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.text.path_patterns import PathPatterns


def test_the_last_pattern_that_fits_decides():
    patterns = PathPatterns(["# notes", "", "*.md", "!keep.md", "/drafts/"])
    assert [
        patterns.decides(path) for path in ("a.md", "sub/keep.md", "a.txt", "drafts/a.txt", "sub/drafts/a.txt")
    ] == [
        True,
        False,
        None,
        True,
        None,
    ]
    assert patterns and not PathPatterns(["# nothing", " "])


@pytest.mark.parametrize("line", ["!", "/", "[", "a\\", "[secret", "./hr/", "../hr", "!./a", "a//b", "a/./b"])
def test_a_pattern_that_would_never_fit_is_refused(line):
    with pytest.raises(ValueError, match="is no pattern of paths"):
        PathPatterns(["*.md", line])


@pytest.mark.parametrize("setting", ["corpus.include", "corpus.exclude", "sdg.llm.exclude"])
@pytest.mark.parametrize("line", ["[", "", "# all"])
def test_settings_refuse_it_by_name(setting, line):
    with pytest.raises(SettingsError, match=rf"{setting.rpartition('.')[2]}.*is no pattern of paths"):
        load_settings(None, None, [f"{setting}={[line]!r}"], {})
