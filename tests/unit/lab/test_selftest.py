"""The self-test passes where Ratwall cuts, fails with a reason where it does not, leaves nothing.

The real inspector and the real rules run in the lab's box; only controller and page are left out.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ratwall.selftest.flight import canned_handshake
from ratwall.wire.tls.conversation import Conversation, ConversationState
from ratwall_lab.box import Ratwall, listen
from ratwall_lab.keys import is_probable_prime
from ratwall_lab.topology import Lab, Mode

FIRMWARE = Path(__file__).parents[3] / "firmware"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(FIRMWARE)}
SELFTEST = """
import json
from ratwall.selftest.selftest import run_selftest
print(json.dumps(run_selftest().to_dict()))
"""
INLINE = """
import sys, time
from ratwall.kernel.install import Installation
from ratwall.kernel.ruleset import RulesetConfig
with Installation(
    RulesetConfig("lan", "wan"), bridge_mode=sys.argv[1] == "bridge", create_bridge=False
):
    print("ready", flush=True)
    time.sleep(60)
"""


def test_the_canned_handshake_has_the_shape_and_the_name() -> None:
    handshake, conversation = canned_handshake(), Conversation()
    conversation.receive(True, handshake.client_hello)
    conversation.receive(False, handshake.server_flight)
    certificate = conversation.facts.certificate
    assert conversation.state is ConversationState.CERTIFICATE
    assert certificate is not None
    assert str(certificate.subject) == str(certificate.issuer) == "CN=Ratwall Self-Test"
    assert is_probable_prime(certificate.serial) and certificate.serial_bits == 120
    assert conversation.facts.sni is None
    assert conversation.facts.version_name == "TLS 1.0"


def selftest(lab: Lab) -> dict[str, object]:
    done = lab.box.run([sys.executable, "-c", SELFTEST], env=ENVIRONMENT)
    result: dict[str, object] = json.loads(done.stdout)
    return result


def traces(lab: Lab) -> tuple[str, str]:
    """Return the box's interfaces and whatever blocks its kernel holds."""
    links = lab.box.run(["ip", "-br", "link"]).stdout
    return links, lab.box.run(["nft", "list", "set", "inet", "ratwall", "blocked4"]).stdout


@contextmanager
def inline(lab: Lab, state: Path, *inspector: str) -> Iterator[None]:
    """Run the inspector and put the rules in, and take both away again."""
    (state / "run").mkdir(exist_ok=True)
    inspect = [sys.executable, "-m", "ratwall.inspector", "--state-dir", state, *inspector]
    processes = []
    for argv in (inspect, [sys.executable, "-c", INLINE, lab.mode]):
        process = lab.box.popen(argv, env=ENVIRONMENT, stdout=subprocess.PIPE)
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        processes.append(process)
    yield
    lab.box.end_processes()


@pytest.fixture(params=["router", "bridge"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    mode: Mode = request.param
    with Lab(mode) as made:
        yield made


@pytest.mark.root
def test_it_passes_where_ratwall_cuts_and_leaves_nothing(lab: Lab, tmp_path: Path) -> None:
    with inline(lab, tmp_path):
        before = traces(lab)
        for _ in range(2):  # the block of the first must not refuse the second
            result = selftest(lab)
            assert result["ok"], result
            assert isinstance(result["duration_ms"], int) and result["duration_ms"] < 3000
        assert traces(lab) == before


@pytest.mark.root
def test_it_fails_where_nobody_inspects(lab: Lab, tmp_path: Path) -> None:
    with inline(lab, tmp_path):
        inspector = lab.box.processes[0]
        inspector.kill()
        inspector.wait()
        result = selftest(lab)
    assert not result["ok"]
    assert "whole handshake passed" in str(result["reason"])


@pytest.mark.root
def test_it_fails_with_a_reason_in_monitor_mode(lab: Lab, tmp_path: Path) -> None:
    with inline(lab, tmp_path, "--monitor-only"):
        result = selftest(lab)
    assert not result["ok"]
    assert "whole handshake passed" in str(result["reason"])


@pytest.mark.root
def test_it_says_that_ratwall_is_not_there(lab: Lab) -> None:
    result = selftest(lab)
    assert not result["ok"]
    assert "start it with `ratwall run`" in str(result["reason"])


@pytest.mark.root
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_self_test_leaves_no_cable(
    lab: Lab, tmp_path: Path, number: signal.Signals
) -> None:
    hang = SELFTEST.replace(
        "print(",
        "import ratwall.selftest.selftest as s, time\n"
        "s.exchange = lambda *a: (print('up', flush=True), time.sleep(60))\nprint(",
    )
    with inline(lab, tmp_path):
        process = lab.box.popen(
            [sys.executable, "-c", hang], env=ENVIRONMENT, stdout=subprocess.PIPE
        )
        assert process.stdout is not None and process.stdout.readline() == b"up\n"
        assert "rwtest-lan" in lab.box.run(["ip", "-br", "link"]).stdout
        process.send_signal(number)
        process.wait(5)
        deadline = time.monotonic() + 3  # the kernel takes namespaces away in the background
        while "rwtest" in lab.box.run(["ip", "-br", "link"]).stdout:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.root
def test_the_command_records_the_result_and_leaves_no_block(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ratwall", "selftest", "--state-dir", tmp_path]
    with (
        Lab() as lab,
        listen("127.0.0.1", 0) as page,
        Ratwall(lab, tmp_path, page) as ratwall,
    ):
        done = lab.box.run([*command, "--json"], env=ENVIRONMENT)
        assert json.loads(done.stdout)["ok"] is True
        recorded = ratwall.ask("status")["selftest"]
        assert recorded["ok"] is True
        assert ratwall.ask("actions") == [], "no block waits for the next restart"
        assert "192.0.2." not in traces(lab)[1]


@pytest.mark.root
def test_the_command_works_without_a_controller(lab: Lab, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ratwall", "selftest", "--state-dir", tmp_path]
    with inline(lab, tmp_path):
        done = lab.box.run(command, env=ENVIRONMENT)
    assert done.stdout.startswith("self-test passed in ")
    assert done.stderr.startswith("ratwall: the self-test is not recorded: ")
    assert done.stderr.count("\n") == 1
