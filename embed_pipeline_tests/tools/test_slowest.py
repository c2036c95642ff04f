"""The slowest tests of a report, in their order."""

from tools.slowest import SHOWN, slowest


def test_the_slowest_come_first(tmp_path):
    cases = "".join(f'<testcase classname="t" name="n{number}" time="{number}.5"/>' for number in range(SHOWN + 3))
    (tmp_path / "report.xml").write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    found = slowest(tmp_path / "report.xml")
    assert len(found) == SHOWN
    assert found[0] == (SHOWN + 2.5, f"t::n{SHOWN + 2}")
    assert found == sorted(found, reverse=True)
