"""The process of a look-up: without rights, one line or one object."""

import json
import os
import subprocess
import sys

import pytest

PROBE = """
import runpy, sys, pathlib
import ratwall.lookup.fetch as fetch
def spy(server, port, name):
    text = pathlib.Path("/proc/self/status").read_text()
    sets = {line.split()[0]: int(line.split()[1], 16) for line in text.splitlines()
            if line.startswith("Cap") or line.startswith("NoNewPrivs")}
    raise OSError(repr(sets))
fetch.fetch = spy
sys.argv = ["lookup", "127.0.0.1", "1"]
runpy.run_module("ratwall.lookup", run_name="__main__")
"""


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *argv],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_nobody_there_is_one_line() -> None:
    done = run("-m", "ratwall.lookup", "127.0.0.1", "1")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "refused" in done.stderr


def test_it_has_no_rights_when_it_meets_the_network() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has rights to give up")
    done = run("-c", PROBE)
    rights = json.loads(done.stderr.replace("'", '"'))
    assert [rights[key] for key in ("CapInh:", "CapPrm:", "CapEff:", "CapAmb:")] == [0] * 4
    assert rights["NoNewPrivs:"] == 1
