"""Which addresses are this machine's own."""

import pytest

from embed_pipeline.encoders.loopback import is_loopback


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("http://127.0.0.1:8808/v1", True),
        ("http://127.8.0.1", True),
        ("http://localhost:1", True),
        ("http://api.localhost/v1", True),
        ("http://[::1]:8808/v1", True),
        ("http://10.0.0.1:8808", False),
        ("https://localhost.example.com", False),
        ("https://api.example.com/v1", False),
        ("not a url", False),
    ],
)
def test_loopback(url: str, own: bool):
    assert is_loopback(url) is own
