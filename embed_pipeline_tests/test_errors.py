"""The exception tree and the translation of a full disk."""

import errno
import inspect

import pytest

from embed_pipeline import errors


def test_the_docstring_draws_every_exception_under_its_parent():
    drawn = {}
    stack: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        name = next((word for word in line.split() if word.endswith("Error")), None)
        if name is None or not hasattr(errors, name):
            continue
        column = line.index(name)
        stack = [one for one in stack if one[0] < column]
        drawn[name] = stack[-1][1] if stack else "Exception"
        stack.append((column, name))
    real = {
        name: cls.__base__.__name__
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, errors.EmbedPipelineError)
    }
    assert drawn == real


@pytest.mark.parametrize(
    ("error", "exit_code", "transient"),
    [
        (errors.SettingsError, 2, False),
        (errors.DiskFullError, 2, False),
        (errors.StageError, 1, False),
        (errors.LLMUnavailableError, 1, True),
    ],
)
def test_the_tree_decides_exit_code_and_retry(error, exit_code, transient):
    assert (error("x").exit_code, error("x").transient) == (exit_code, transient)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_translated_and_says_where(code):
    found = errors.disk_full(OSError(code, "full"), "/some/home")
    assert isinstance(found, errors.DiskFullError)
    assert "/some/home" in str(found)
    assert "embed-pipeline gc" in str(found)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("parquet: underlying IO error: No space left on device (os error 28)"),
        RuntimeError("database or disk is full"),
    ],
)
def test_a_full_disk_told_only_in_words_is_translated(error):
    assert isinstance(errors.disk_full(error, "x"), errors.DiskFullError)


def test_a_full_disk_as_the_cause_of_another_error_is_translated():
    outer = errors.StageError("could not train")
    outer.__cause__ = OSError(errno.ENOSPC, "full")
    assert isinstance(errors.disk_full(outer, "x"), errors.DiskFullError)


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "no"), ValueError("28"), OSError("odd")])
def test_other_errors_are_not_translated(error):
    assert errors.disk_full(error, "x") is None
