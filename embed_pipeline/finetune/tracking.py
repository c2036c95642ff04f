"""Experiment trackers: TensorBoard, MLflow, Trackio, Weights & Biases, through transformers' callbacks.

What they need is taken from their own environment variables; where those are not set, everything stays in a folder of
the home. Keys are read from the environment by the trackers themselves and never stand in the settings.
"""

import importlib.util
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from embed_pipeline.errors import EmbedPipelineError, SettingsError, TrainingError
from embed_pipeline.settings import FinetuneSettings

PROJECT = "embed-pipeline"
FOLDER = "tracking"


def check_trackers(settings: FinetuneSettings) -> None:
    """Refuse trackers that are not installed, before anything is computed.

    Raises:
        SettingsError: naming the extra to install.
    """
    missing = [name for name in settings.report_to if not _is_installed(name)]
    if missing:
        raise SettingsError(
            f"finetune.report_to names {missing[0]}, whose package is not installed: "
            f"pip install 'embed-pipeline[{','.join(missing)}]', or leave it out of finetune.report_to."
        )


def _is_installed(name: str) -> bool:
    """A folder of that name, such as wandb leaves where it ran, is no package."""
    found = importlib.util.find_spec(name)
    return found is not None and found.origin is not None


@contextmanager
def tracking(settings: FinetuneSettings, folder: Path, name: str) -> Iterator[None]:
    """Inside the block the trackers write below ``folder``, as far as the environment does not say otherwise.

    Processes that are started inside inherit it. Afterwards the environment is as before and no tracker's run is open.

    Args:
        name: of the run.

    Raises:
        SettingsError: see :func:`check_trackers`.
        TrainingError: a tracker failed, for example because its server does not answer.
    """
    check_trackers(settings)
    chosen = {
        variable: value for variable, value in defaults(settings, folder, name).items() if not os.getenv(variable)
    }
    before = {variable: os.environ.get(variable) for variable in chosen}
    os.environ.update(chosen)
    if settings.report_to:
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except EmbedPipelineError:
        raise
    except Exception as error:
        failed = type(error).__module__.partition(".")[0]
        if failed not in settings.report_to:
            raise
        reason = " ".join(str(error).split())[:300]
        raise TrainingError(
            f"{failed}, which finetune.report_to names, failed: {reason} Mend it, or leave it out of "
            "finetune.report_to; the training goes on at its last checkpoint."
        ) from error
    finally:
        _end_runs(settings)
        for variable, value in before.items():
            if value is None:
                os.environ.pop(variable, None)
            else:
                os.environ[variable] = value


def defaults(settings: FinetuneSettings, folder: Path, name: str) -> Mapping[str, str]:
    """The trackers' environment variables where nobody has set them: nothing leaves the machine."""
    of_tracker = {
        "tensorboard": {"TENSORBOARD_LOGGING_DIR": str(folder / "tensorboard" / name)},
        "mlflow": {
            "MLFLOW_TRACKING_URI": (folder / "mlflow").absolute().as_uri(),
            "MLFLOW_EXPERIMENT_NAME": PROJECT,
            "MLFLOW_ALLOW_FILE_STORE": "true",
        },
        "trackio": {"TRACKIO_DIR": str(folder / "trackio")},
        "wandb": {
            "WANDB_PROJECT": PROJECT,
            "WANDB_DIR": str(folder),
            "WANDB_SILENT": "true",
            "WANDB_MODE": "online" if os.getenv("WANDB_API_KEY") else "offline",
        },
    }
    return {variable: value for tracker in settings.report_to for variable, value in of_tracker[tracker].items()}


def _end_runs(settings: FinetuneSettings) -> None:
    """End what is still open, which the next training would write into: after a failure, and wandb's in any case."""
    if "mlflow" in settings.report_to:
        import mlflow

        mlflow.end_run()
    if "wandb" in settings.report_to:
        import wandb

        wandb.finish()
