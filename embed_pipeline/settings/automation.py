"""Settings of what runs by itself: the corpus sensor, the schedule, notifications."""

from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, model_validator

from embed_pipeline.settings.section import Section, runtime

_CRON_FIELDS = 5


def _cron(text: str) -> str:
    from croniter import CroniterError, croniter

    try:
        fields = text.split()
        if len(fields) != _CRON_FIELDS and not text.startswith("@"):
            raise ValueError
        if any(one[0] in "rR" for one in fields):  # croniter's random: another moment at every look
            raise ValueError
        croniter(text).get_next()  # also refuses the 30th of February, which never comes
    except (CroniterError, ValueError) as error:
        form = (
            "minute, hour, day of month, month, day of week, as in '0 3 * * *'; or @hourly, @daily, @weekly, @monthly"
        )
        raise ValueError(f"is no cron expression: {form}") from error
    return text


def _time_zone(name: str) -> str:
    if name == "UTC":  # known without a time zone database
        return name
    try:
        ZoneInfo(name)
    except (OSError, ValueError, LookupError) as error:
        raise ValueError("is no time zone of the IANA list, as Europe/Berlin is") from error
    return name


def _web_address(url: str | None) -> str | None:
    if url is not None and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
        raise ValueError("must be an address that begins with http:// or https://")  # not shown: it may hold a secret
    return url


class AutomationSettings(Section):
    """What runs by itself while the web UI is up: the corpus sensor and the schedule, and notifications of them."""

    enabled: bool = runtime(False, "Sensor and schedule are on from the first start of the web UI, without a click.")
    settle_seconds: float = runtime(60.0, "The corpus folder must be unchanged this long before it retrains.", ge=0)
    listing_seconds: float = runtime(
        300.0, "How often an address (corpus.path) is asked for what it lists; a folder is looked at each time.", ge=0
    )
    min_change: float = runtime(
        0.0, "Least share of the documents, or of their bytes, that must have changed before it retrains.", ge=0, le=1
    )
    max_shrink: float = runtime(
        0.2, "A corpus that lost more than this share of its documents or bytes waits for a confirmation.", ge=0, le=1
    )
    retries: int = runtime(5, "How often a run that failed is tried again with the same content.", ge=0)
    retry_seconds: float = runtime(300.0, "Pause before the first of these; it doubles each time.", gt=0)
    max_retry_seconds: float = runtime(21_600.0, "Longest pause.", gt=0)
    cron: Annotated[str, AfterValidator(_cron)] = runtime("0 3 * * *", "When the schedule retrains.")
    time_zone: Annotated[str, AfterValidator(_time_zone)] = runtime("UTC", "Time zone of cron, as Europe/Berlin.")
    max_age_hours: float | None = runtime(
        None, "The endpoint counts as overdue in the web UI when it was last brought up to date longer ago.", gt=0
    )
    webhook_url: Annotated[str | None, AfterValidator(_web_address)] = runtime(
        None, "Address that is told of failures, verdicts and what waits for a confirmation.", protected="address"
    )
    webhook_url_env: str | None = runtime(
        None, "Environment variable that holds this address, where it is a secret.", protected="secret", min_length=1
    )
    ui_url: Annotated[str | None, AfterValidator(_web_address)] = runtime(
        None, "Address of the web UI as its readers reach it, for links in what is sent.", protected="address"
    )

    @model_validator(mode="before")
    @classmethod
    def _has_one_webhook(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("webhook_url") and values.get("webhook_url_env"):
            raise ValueError("webhook_url and webhook_url_env are both set; keep one of them")
        return values
