"""The toy graph in an empty home, and a Dagster instance that forgets."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from embed_pipeline_tests.stages import toy


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def definitions(tmp_path: Path) -> dg.Definitions:
    toy.corpus_of(tmp_path)
    return toy.toy_defs(toy.settings_of(tmp_path), tmp_path / "home")
