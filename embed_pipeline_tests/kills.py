"""Work that is killed between any two of its removals and renames."""

import os
from collections.abc import Callable
from typing import Any

import pytest


class Killed(BaseException):
    """Nothing catches it on its way."""


def killed_after(steps: int, work: Callable[[], object]) -> bool:
    """Whether ``work`` had more to do after ``steps`` removals and renames of files and folders, where it ends."""
    left = steps

    def counting(real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*given: Any, **options: Any) -> Any:
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            return real(*given, **options)

        return step

    with pytest.MonkeyPatch.context() as patched:
        for name in ("unlink", "rmdir", "rename"):
            patched.setattr(os, name, counting(getattr(os, name)))
        try:
            work()
        except Killed:
            return True
    return False
