"""Ports: free ones, taken ones, and what the user is told."""

import socket

import pytest

from embed_pipeline.deploy.ports import require_free_port
from embed_pipeline.errors import PortInUseError
from embed_pipeline_tests.ports import free_port


def test_a_free_port_is_accepted_and_stays_free():
    port = free_port()
    require_free_port("127.0.0.1", port)
    with socket.create_server(("127.0.0.1", port)) as server:  # the look itself does not hold it
        assert server.getsockname()[1] == port


@pytest.mark.parametrize("bound", ["127.0.0.1", "0.0.0.0"])
def test_a_port_somebody_listens_on_is_refused_with_the_way_out(bound):
    with socket.create_server((bound, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortInUseError, match=rf"deploy\.port {port} .*--set deploy\.port=N") as raised:
            require_free_port("127.0.0.1", port)
        assert raised.value.exit_code == 2
    require_free_port("127.0.0.1", port)


def test_a_host_that_is_not_ours_is_refused():
    with pytest.raises(PortInUseError, match=r"192\.0\.2\.1"):
        require_free_port("192.0.2.1", free_port())


def test_another_setting_and_another_way_out_can_be_named():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortInUseError, match=rf"the web UI's port {port} .* choose another one with --port N"):
            require_free_port("127.0.0.1", port, "the web UI's port", "--port N")
