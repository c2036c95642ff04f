"""Every error a user can meet.

::

    EmbedPipelineError
    ├── UserError                 exit code 2: wrong usage, settings, input or surroundings
    │   ├── SettingsError         pipeline.yaml, --set, environment
    │   ├── InputError            corpus, imported questions, gold set
    │   ├── ModelAccessError      base model missing, damaged or not the expected one
    │   ├── LLMAccessError        key missing or refused, endpoint unknown
    │   ├── HomeBusyError         another run uses the same home
    │   ├── HomeError             the home is of a newer version, or a backup cannot be used
    │   ├── DatabaseError         a database of the home is damaged or cannot be written
    │   ├── PortInUseError        the endpoint's port belongs to somebody else
    │   └── DiskFullError         no space left; nothing half-written remains
    ├── WebUIError                exit code 1: a process of the web UI ended by itself
    └── StageError                exit code 1: a stage or a check failed
        ├── ArtifactError         a stored artifact is missing or damaged
        ├── TrainingError         NaN, collapse, nothing to train on
        ├── ExportError           the exported graph is not the checkpoint
        ├── DeployError           the endpoint did not become healthy
        ├── BudgetExceededError   the money or the tokens set for a generation are spent
        └── TransientError        worth trying again later (``transient`` is true)
            └── LLMUnavailableError

Messages are one sentence or two: which file or setting, what was wrong, what to do.
"""

import errno


class EmbedPipelineError(Exception):
    """Base of everything this package raises on purpose."""

    exit_code = 1
    transient = False


class UserError(EmbedPipelineError):
    """The user can put it right: usage, settings, input, surroundings."""

    exit_code = 2


class SettingsError(UserError):
    """A setting is unknown, of the wrong type, or contradicts another."""


class InputError(UserError):
    """The corpus, the imported questions or the gold set cannot be used."""


class ModelAccessError(UserError):
    """The base model is missing, damaged, or not the one that was asked for."""


class LLMAccessError(UserError):
    """The chat endpoint cannot be used with the key and model given."""


class HomeBusyError(UserError):
    """Another run is writing to the same home."""


class HomeError(UserError):
    """The home was made by a newer version, is not one, or cannot be replaced by the backup given."""


class DatabaseError(UserError):
    """A database of the home is damaged, or cannot be written."""


class PortInUseError(UserError):
    """The endpoint's port is taken by another program."""


class DiskFullError(UserError):
    """No space is left where the pipeline writes."""


class WebUIError(EmbedPipelineError):
    """A process of the web UI ended by itself, or did not answer."""


class StageError(EmbedPipelineError):
    """A stage could not produce its artifact."""


class ArtifactError(StageError):
    """A stored artifact is missing or damaged."""


class TrainingError(StageError):
    """Training cannot start or went wrong."""


class ExportError(StageError):
    """The exported model is not the checkpoint."""


class DeployError(StageError):
    """The endpoint could not be brought up, or answered wrongly."""


class BudgetExceededError(StageError):
    """Going on would cost more than sdg.budget_usd or sdg.budget_tokens allows."""


class TransientError(StageError):
    """The same call may succeed later."""

    transient = True


class LLMUnavailableError(TransientError):
    """The chat endpoint kept failing after every retry."""


_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Rust writers (Polars, safetensors), SQLite and torch raise errors of their own that only say it in words.
_DISK_FULL_WORDS = (
    *(f"(os error {code})" for code in _DISK_FULL),
    "database or disk is full",
    "PytorchStreamWriter failed writing file",
)


def disk_full(error: BaseException, where: object) -> DiskFullError | None:
    """Translate "no space left" (ENOSPC, EDQUOT, EFBIG), also as a cause, into a :class:`DiskFullError`, else None."""
    link: BaseException | None = error
    while link is not None:
        if getattr(link, "errno", None) in _DISK_FULL or any(words in str(link) for words in _DISK_FULL_WORDS):
            return DiskFullError(
                f"{where}: no space left on the disk. Free some space (embed-pipeline gc removes what "
                "nothing needs) or choose another --home, then run again; finished stages are kept."
            )
        link = link.__cause__
    return None
