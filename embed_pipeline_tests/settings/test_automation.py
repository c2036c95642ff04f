"""What runs by itself is checked when the settings are read."""

from datetime import UTC, datetime

import pytest

from embed_pipeline.errors import SettingsError
from embed_pipeline.settings.sources import load_settings


def read(*overrides):
    return load_settings(None, None, [f"automation.{one}" for one in overrides], {}).automation


@pytest.mark.parametrize(
    "cron", ["0 3 * * *", "*/15 8-18 * * 1-5", "@hourly", "@daily", "@weekly", "@monthly", "0 0 1 JAN,JUL *"]
)
def test_a_cron_expression(cron):
    from dagster._utils.schedules import is_valid_cron_string, schedule_execution_time_iterator

    assert read(f"cron={cron}").cron == cron
    assert is_valid_cron_string(cron)
    start = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    first, second = (
        next(schedule_execution_time_iterator(start + seconds, cron, "Europe/Berlin")) for seconds in (0, 200 * 86400)
    )
    assert start <= first.timestamp() < second.timestamp()


@pytest.mark.parametrize(
    "cron",
    [
        "nonsense",
        "0 3 * *",
        "0 3 * * * *",
        "61 3 * * *",
        "0 3 30 2 *",
        "every day",
        "@reboot",
        "@daily 3",
        "R 3 * * *",
        "h",
    ],
)
def test_what_is_none(cron):
    with pytest.raises(SettingsError, match=r"automation\.cron.*is no cron expression"):
        read(f"cron={cron}")


@pytest.mark.parametrize("name", ["Mars/Olympus", "../etc/passwd", "/etc/passwd", "Europe", "UTC+1"])
def test_a_time_zone_must_be_of_the_list(name):
    assert read("time_zone=Europe/Berlin").time_zone == "Europe/Berlin"
    with pytest.raises(SettingsError, match=r"automation\.time_zone.*time zone of the IANA list"):
        read(f"time_zone={name}")


@pytest.mark.parametrize("url", ["hooks.example", "ftp://x", "http://", "file:///etc/passwd"])
def test_a_webhook_is_an_address_of_the_web(url):
    with pytest.raises(SettingsError, match="http:// or https://"):
        read(f"webhook_url={url}")


def test_one_webhook():
    with pytest.raises(SettingsError, match="keep one of them"):
        read("webhook_url=https://x.example", "webhook_url_env=X")


def test_none_of_them_enters_a_key():
    settings = load_settings(None, None, ["automation.min_change=0.5"], {})
    assert settings.key_part(["automation"]) in ({}, {"automation": {}})
