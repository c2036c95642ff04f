"""Values of metadata in one form each: dates, addresses, languages, entries of lists. Nothing is guessed."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from email.utils import parsedate_to_datetime
from itertools import product
from urllib.parse import urlsplit, urlunsplit

from embed_pipeline.corpus.parsers.blocks import one_line

ADDRESS_CHARS = 2_000
_DATE_CHARS = 60
_TURNS = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
_UNSEEN = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029]+")
_UNSAFE = str.maketrans({sign: f"%{ord(sign):02X}" for sign in ' "<>\\^`{|}'})
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,4}")

_YEAR_MONTH = re.compile(r"([1-9]\d{3})(?:-(0[1-9]|1[0-2]))?", re.ASCII)
_PDF = re.compile(
    r"D:(\d{4})(\d\d)?(\d\d)?(?:(\d\d)(\d\d)?(\d\d)?)?(?:Z|([+-])(\d\d)'?(?:(\d\d)'?)?)?(?:\D.*)?", re.ASCII | re.DOTALL
)
_DAY_FIRST = re.compile(r"(?P<day>\d{1,2})\. ?(?P<month>\d{1,2})\. ?(?P<year>\d{4})", re.ASCII)
_EAST_ASIAN = re.compile(r"(?P<year>\d{4}) ?[年년] ?(?P<month>\d{1,2}) ?[月월] ?(?P<day>\d{1,2}) ?[日일]", re.ASCII)
_MAIL = re.compile(
    r"(?:[A-Za-z]{3}, ?)?\d{1,2} [A-Za-z]{3} \d{4} \d{1,2}:\d\d(?::\d\d)?"
    r"(?: (?:[+-]\d{4}|GMT|UTC?|Z|[ECMP][SD]T))?(?: \([^()]*\))?",
    re.ASCII,
)
_YEAR_FIRST = re.compile(
    r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})"
    r"(?:[ T](?P<hour>\d{1,2}):(?P<rest>\d\d(?::\d\d(?:[.,]\d+)?)?)(?: ?(?P<zone>[+-]\d\d(?::?\d\d)?|Z|UTC|GMT))?)?",
    re.ASCII,
)
_YEAR = re.compile(r"(?<!\d)[1-9]\d{3}(?!\d)", re.ASCII)
_DEFAULTS = (datetime(2000, 1, 1), datetime(2004, 2, 2, 1, 1, 1))
"""What stands for parts that a date leaves out: what both give alike was there."""


def plain(text: str) -> str:
    """On one line, without control characters and those that turn the direction of what follows."""
    return one_line(_TURNS.sub("", text))


def web_address(text: str) -> str | None:
    """An address as ``http``, ``https`` or relative to where the file lies; None for any other, as ``javascript:``.

    One that names a user or a password is none, and none is longer than 2,000 characters. What begins with ``//`` gets
    ``https:``. Characters that no address holds are written with ``%``.
    """
    bare = _UNSEEN.sub(lambda found: "%20" if set(found.group()) == {" "} else "", _TURNS.sub("", text).strip())
    try:
        parts = urlsplit(bare)
        host, user = parts.hostname, parts.username
    except ValueError:
        return None
    if parts.scheme in ("http", "https") or (parts.netloc and not parts.scheme):
        if not host or user is not None:
            return None
        whole = urlunsplit(parts._replace(scheme=parts.scheme or "https"))
    elif parts.scheme or not parts.path or ":" in bare.partition("/")[0] or bare.startswith("\\"):
        return None
    else:
        whole = bare
    found = whole.translate(_UNSAFE)
    return found if len(found) <= ADDRESS_CHARS else None


def language_tag(text: str) -> str:
    """``en_us`` as ``en-US``; what is no tag of BCP 47 stays as it is."""
    if not _LANGUAGE.fullmatch(text):
        return text
    first, *rest = re.split("[-_]", text)
    return "-".join([first.lower(), *(part.upper() if len(part) == 2 else part for part in rest)])


def entries(text: str, signs: str) -> Iterator[str]:
    """What stands between ``signs``, tidied; empty ones are left out."""
    return filter(None, map(plain, re.split(f"[{re.escape(signs)}]", text)))


# -- dates -----------------------------------------------------------------------------------------------


def iso_date(text: str) -> str | None:
    """A date in ISO 8601, as exact as it is given: year, month, day, or second with the offset if there is one.

    Read are ISO 8601, the dates of mails and of PDF, dates with the month as an English word, ``31.1.2026`` and those
    of East Asia. What may mean two days, as ``1/2/2026`` does, and two digits for a year are no date.
    """
    given = plain(text[: _DATE_CHARS + 1])
    if not given or len(given) > _DATE_CHARS:
        return None
    if _YEAR_MONTH.fullmatch(given):
        return given
    for read in (_iso, _year_first, _pdf, _numbers, _mail, _any):
        try:
            found = read(given)
        except (ValueError, OverflowError, ArithmeticError, TypeError, IndexError, AttributeError):  # of dateutil, any
            continue
        if found is not None:
            return found
    return None


def _shown(moment: datetime) -> str | None:
    return moment.isoformat(timespec="seconds") if moment.year >= 1000 else None


def _iso(text: str) -> str | None:
    if not text.isascii():
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return _shown(datetime.fromisoformat(text))
    return day.isoformat() if day.year >= 1000 else None


def _year_first(text: str) -> str | None:
    """``2026/1/31 9:05 +0100`` and the like."""
    match = _YEAR_FIRST.fullmatch(text)
    if match is None:
        return None
    day = f"{match['year']}-{match['month']:0>2}-{match['day']:0>2}"
    if match["hour"] is None:
        return _iso(day)
    zone = match["zone"] or ""
    return _iso(f"{day}T{match['hour']:0>2}:{match['rest'].replace(',', '.')}{'Z' if zone in ('UTC', 'GMT') else zone}")


def _pdf(text: str) -> str | None:
    """Section 7.9.4 of ISO 32000."""
    match = _PDF.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = match.groups()[:6]
    if hour is None:
        return iso_date("-".join(filter(None, (year, month, day))))
    zone = UTC if "Z" in text else None
    if match.group(7):
        offset = timedelta(hours=int(match.group(8)), minutes=int(match.group(9) or 0))
        zone = timezone(offset if match.group(7) == "+" else -offset)
    return _shown(datetime(int(year), int(month), int(day), int(hour), int(minute or 0), int(second or 0), tzinfo=zone))


def _numbers(text: str) -> str | None:
    match = _DAY_FIRST.fullmatch(text) or _EAST_ASIAN.fullmatch(text)
    if match is None:
        return None
    return _iso(date(int(match["year"]), int(match["month"]), int(match["day"])).isoformat())


def _mail(text: str) -> str | None:
    return _shown(parsedate_to_datetime(text)) if _MAIL.fullmatch(text) else None


def _any(text: str) -> str | None:
    """What dateutil makes of it, if that is the same whatever stands first and whatever today is."""
    from dateutil import parser

    if _YEAR.search(text) is None:
        return None
    readings: list[list[datetime]] = [
        [
            parser.parse(text, default=default, dayfirst=day_first, yearfirst=year_first, tzinfos=_zone)
            for default in _DEFAULTS
        ]
        for day_first, year_first in product((False, True), repeat=2)
    ]
    first, other = readings[0]
    if any(one != readings[0] for one in readings) or (first.year, first.month) != (other.year, other.month):
        return None
    if first.year < 1000:
        return None
    if first.day != other.day:
        return first.strftime("%Y-%m")
    return first.date().isoformat() if first.hour != other.hour else _shown(first)


def _zone(_name: str | None, offset: int | None) -> tzinfo | None:
    """Zones by their offset; letters alone mean another one in every country."""
    return None if offset is None else timezone(timedelta(seconds=offset))
