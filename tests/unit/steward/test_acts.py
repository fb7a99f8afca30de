"""What each verb leaves behind, and what it has systemd do.

Only systemctl is stood in for: it would restart this machine.
"""

import json
from pathlib import Path

import pytest

from ratwall.errors import RatwallError
from ratwall.kernel.command import ToolError
from ratwall.steward.acts import SUPPORT_UNIT, UPDATE_UNIT, Steward
from ratwall.steward.order import Order, Verb

LEAVE = "--no-block --job-mode=replace-irreversibly start"
NOW = 1_750_000_000_000_000


class Systemctl:
    """What systemd was asked, and which units run."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.active: set[str] = set()
        self.refuses = ""

    def __call__(self, *argv: str) -> str:
        assert argv[:2] == ("systemctl", "--no-ask-password")
        if argv[2] == "show":
            return "active\n" if argv[-1] in self.active else "inactive\n"
        self.asked.append(" ".join(argv[2:]))
        if self.refuses and self.refuses in self.asked[-1]:
            raise ToolError("systemctl: Access denied")
        return ""


@pytest.fixture
def systemctl() -> Systemctl:
    return Systemctl()


@pytest.fixture
def steward(tmp_path: Path, systemctl: Systemctl) -> Steward:
    for name in ("run", "boot"):
        (tmp_path / name).mkdir()
    return Steward(tmp_path / "run", tmp_path / "boot", systemctl, lambda: NOW)


def test_each_short_verb_is_one_command(steward: Steward, systemctl: Systemctl) -> None:
    for verb, command in (
        (Verb.RESTART, f"{LEAVE} reboot.target"),
        (Verb.POWER_OFF, f"{LEAVE} poweroff.target"),
        (Verb.SUPPORT_OFF, f"stop {SUPPORT_UNIT}"),
    ):
        steward.do(Order(verb))
        assert systemctl.asked.pop() == command
    assert list(steward.run_dir.iterdir()) == list(steward.boot_dir.iterdir()) == []


def test_a_bundle_says_whether_incidents_are_wanted(steward: Steward, systemctl: Systemctl) -> None:
    steward.do(Order(Verb.SUPPORT_BUNDLE, incidents=True))
    request = json.loads((steward.run_dir / "bundle-request.json").read_text())
    assert request == {"incidents": True, "began": NOW}
    assert systemctl.asked == ["--no-block start ratwall-bundle.service"]


def test_a_reset_is_a_mark_for_the_next_start(steward: Steward, systemctl: Systemctl) -> None:
    steward.do(Order(Verb.FACTORY_RESET))
    assert (steward.boot_dir / "factory-reset").exists()
    assert systemctl.asked == [f"{LEAVE} reboot.target"]


def test_a_reset_that_cannot_restart_leaves_no_mark(steward: Steward, systemctl: Systemctl) -> None:
    systemctl.refuses = "reboot"
    with pytest.raises(RatwallError, match="Access denied"):
        steward.do(Order(Verb.FACTORY_RESET))
    assert list(steward.boot_dir.iterdir()) == []


def test_a_reset_without_the_partition_restarts_nothing(
    steward: Steward, systemctl: Systemctl
) -> None:
    steward.boot_dir.rmdir()
    with pytest.raises(RatwallError, match="nothing was changed"):
        steward.do(Order(Verb.FACTORY_RESET))
    assert systemctl.asked == []


@pytest.mark.parametrize(
    ("order", "what", "url"),
    [
        (Order(Verb.UPDATE), "install", None),
        (
            Order(Verb.UPDATE, url="https://updates.example/x"),
            "install",
            "https://updates.example/x",
        ),
        (Order(Verb.ROLLBACK), "rollback", None),
    ],
)
def test_an_update_is_written_down_for_its_unit(
    steward: Steward, systemctl: Systemctl, order: Order, what: str, url: str | None
) -> None:
    steward.do(order)
    request = steward.run_dir / "update-request.json"
    assert json.loads(request.read_text()) == {"what": what, "url": url}
    assert request.stat().st_mode & 0o077 == 0
    state = json.loads((steward.run_dir / "update-state.json").read_text())
    assert (state["state"], state["began"]) == ("running", NOW)
    assert systemctl.asked == [f"--no-block start {UPDATE_UNIT}"]


def test_one_update_at_a_time(steward: Steward, systemctl: Systemctl) -> None:
    systemctl.active = {UPDATE_UNIT}
    with pytest.raises(RatwallError, match="another one is being installed"):
        steward.do(Order(Verb.UPDATE))
    assert list(steward.run_dir.iterdir()) == systemctl.asked == []


def test_support_is_a_key_and_a_time(steward: Steward, systemctl: Systemctl) -> None:
    order = Order(Verb.SUPPORT_ON, hours=4, key="ssh-ed25519 AAAA anna")
    steward.do(order)
    assert (steward.run_dir / "support-keys").read_text() == "ssh-ed25519 AAAA anna\n"
    assert (steward.run_dir / "support-time").read_text() == "SUPPORT_SECONDS=14400\n"
    until = json.loads((steward.run_dir / "support.json").read_text())["until"]
    assert until == NOW + 4 * 3600 * 1_000_000
    assert systemctl.asked == [f"start {SUPPORT_UNIT}"]
    systemctl.active = {SUPPORT_UNIT}
    with pytest.raises(RatwallError, match="is on already"):
        steward.do(order)
