"""Dates, addresses and entries in one form each; what is none is never made into one."""

import re
from datetime import date, datetime, timedelta, timezone
from email.utils import format_datetime
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.corpus.parsers.metadata_values import ADDRESS_CHARS, entries, iso_date, language_tag, web_address

ISO = re.compile(r"[1-9]\d{3}(-\d\d(-\d\d(T\d\d:\d\d:\d\d([+-]\d\d:\d\d(:\d\d)?)?)?)?)?")
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31), timezones=st.none() | OFFSETS).map(
    lambda moment: moment.replace(microsecond=0)
)
DAYS = st.dates(date(1000, 1, 1), date(9999, 12, 31))
ENGLISH = [date(2000, month, 1).strftime("%B") for month in range(1, 13)]
NOT_DATES = """
soon
yesterday
Monday
10:30
2026-13-45
2026-02-30
26-01-31
1 2 2026
1700000000
Q1 2026
0000-01-01
D:00000101000000Z
D:20269999
٢٠٢٦-٠١-٣١
""".strip().split("\n")
NOT_ADDRESSES = r"""
javascript:alert(1)
JAVASCRIPT:x
vbscript:x
&#106;avascript:x
data:text/html,x
file:///etc/passwd
C:\docs\a.md
\\server\share
mailto:a@b.example
a:b
https://
http:///x
http://[::1
#top
""".strip().split("\n")
NOT_DATES.append("http://name:word@h.example/")  # pragma: allowlist secret


LIKE_A_DATE = st.sampled_from("0123456789 -/.:TZ+D'JanuryFebMonPMUTC,()年月日\u0661\0\u202e")


@given(st.text(LIKE_A_DATE, max_size=40) | st.text())
def test_a_date_is_iso_8601_or_none_and_stays_what_it_is(text):
    found = iso_date(text)
    assert found is None or (ISO.fullmatch(found) and iso_date(found) == found)


@given(MOMENTS)
def test_moments_keep_their_second_and_offset_however_they_are_written(moment):
    expected = moment.isoformat()
    assert iso_date(expected) == expected
    assert iso_date(expected.replace("T", " ")) == expected
    assert iso_date(f"{moment:%Y}/{moment.month}/{moment.day} {moment.hour}:{moment:%M:%S %z}".strip()) == expected
    if moment.year >= 1900:
        assert iso_date(format_datetime(moment)) == expected  # "-0000" is UTC of an unknown place
        assert iso_date(f"{format_datetime(moment)} (CET)") == expected
    if moment.tzinfo is not None:
        sign, rest = expected[19], expected[20:]
        assert iso_date(f"D:{moment:%Y%m%d%H%M%S}{sign}{rest.replace(':', chr(39))}'") == expected


@given(DAYS)
def test_days_are_read_as_people_write_them(day):
    month = ENGLISH[day.month - 1]
    for text in (
        f"{day:%Y%m%d}",
        f"{day.year}-{day.month}-{day.day}",
        f"{day.day} {month} {day.year}",
        f"{month} {day.day}, {day.year}",
        f"{month[:3]} {day.day} {day.year}",
        f"{day.day}.{day.month}.{day.year}",
        f"{day.year}年{day.month}月{day.day}日",
        f"D:{day:%Y%m%d}",
    ):
        assert iso_date(text) == day.isoformat(), text
    assert iso_date(f"{month} {day.year}") == f"{day:%Y-%m}"


@given(DAYS)
def test_what_may_be_two_days_is_none(day):
    found = iso_date(f"{day.day}/{day.month}/{day.year}")
    if day.day <= 12 and day.day != day.month:
        assert found is None
    else:
        assert found == day.isoformat()


@pytest.mark.parametrize("text", [*NOT_DATES, "", " ", "2026-01-31" + "0" * 99, "9" * 10_000_000])
def test_what_is_no_date_is_none(text):
    assert iso_date(text) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("31 Jan 2026 10:30 PM", "2026-01-31T22:30:00"),
        ("Sat, 31 Jan 2026 10:00 EST", "2026-01-31T10:00:00-05:00"),
        ("2026-02-01 10:00:00 +0100", "2026-02-01T10:00:00+01:00"),
        ("D:202601", "2026-01"),
        ("2026-01-31T10:00:00.999Z", "2026-01-31T10:00:00+00:00"),
    ],
)
def test_dates_with_a_time(text, found):
    assert iso_date(text) == found


@given(st.text(st.sampled_from("javscriptdt:/\\\t\n\0 .@?#%&;<>[]htps\u202e"), max_size=30) | st.text())
def test_an_address_leads_to_the_web_or_below_the_file(text):
    found = web_address(text)
    if found is not None:
        parts = urlsplit(found)
        assert parts.scheme in ("http", "https", "") and "@" not in parts.netloc
        assert bool(parts.netloc) == bool(parts.scheme)
        assert not re.search(r"[\x00-\x20<>\"\\\u202e]", found)
        assert web_address(found) == found


@pytest.mark.parametrize(
    "text", [*NOT_ADDRESSES, " java\tscript:x", "\1javascript:x", "", f"https://a.example/{'x' * 2000}"]
)
def test_what_leads_elsewhere_is_no_address(text):
    assert web_address(text) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("https://a.example/x y?q=<b>#c", "https://a.example/x%20y?q=%3Cb%3E#c"),
        ("//a.example/x", "https://a.example/x"),
        ("https://bücher.example/ü", "https://bücher.example/ü"),
        ("https://a.example/\n  x", "https://a.example/x"),
        ("guide/intro.md#part", "guide/intro.md#part"),
        ("/docs/a.html", "/docs/a.html"),
    ],
)
def test_addresses(text, found):
    assert web_address(text) == found
    assert len(found) <= ADDRESS_CHARS


def test_languages_and_entries():
    assert [language_tag(one) for one in ("en_us", "DE", "zh-Hant-tw", "English")] == [
        "en-US", "de", "zh-Hant-TW", "English",
    ]  # fmt: skip
    assert list(entries(" a , b;;c\0\n d ", ",;")) == ["a", "b", "c d"]
