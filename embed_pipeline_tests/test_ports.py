"""Ports of tests that run side by side, in one run or in several."""

import subprocess
import sys

from embed_pipeline_tests.ports import free_port

CODE = """
import sys
from embed_pipeline_tests.ports import free_port
print(*(free_port() for _ in range(5)), flush=True)
sys.stdin.read()
"""


def test_no_two_processes_are_given_the_same_port():
    command = [sys.executable, "-c", CODE]
    others = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    try:
        given = [free_port() for _ in range(5)]
        for other in others:
            assert other.stdout is not None
            given += map(int, other.stdout.readline().split())
    finally:
        for other in others:
            other.communicate(timeout=30)
    assert len(set(given)) == 20


def test_a_process_is_not_given_a_port_twice():
    assert len({free_port() for _ in range(50)}) == 50
