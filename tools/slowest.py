"""``make check``: which tests took longest when the suite last ran."""

from pathlib import Path

from lxml import etree

REPORT = Path(__file__).resolve().parent.parent / ".test-report.xml"
SHOWN = 15


def slowest(report: Path) -> list[tuple[float, str]]:
    """(seconds, test) of the slowest tests in a JUnit report, the slowest first."""
    cases = etree.parse(report).iter("testcase")
    timed = [(float(case.get("time", 0)), f"{case.get('classname')}::{case.get('name')}") for case in cases]
    return sorted(timed, reverse=True)[:SHOWN]


def main() -> None:
    """Print them, or that the suite has not run yet."""
    if not REPORT.is_file():
        print("The slowest tests are not known yet: make test.")
        return
    print("The slowest tests of the last make test:")
    for seconds, name in slowest(REPORT):
        print(f"{seconds:8.1f} s  {name}")


if __name__ == "__main__":
    main()
