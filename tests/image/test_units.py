"""systemd's own judge reads every unit: no mistake, no ordering cycle, little exposure."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from image.conftest import OVERLAY, PACKAGED, ROOT, UNITS

# Instances stand for their template.
INSTANCES = {
    "ratwall-inspector@": "0",
    "ratwall-console@": "tty1",
    "ratwall-port@": "eth0",
    "ratwall-steward@": "0",
}
# Exposure as `systemd-analyze security` counts it, 0 to 10. What strangers' bytes reach has the
# least; the keeper and the controller change the kernel and cannot do with as little.
LIMITS = {
    "ratwall-inspector@0.service": 2.0,
    "ratwall-web.service": 2.0,
    "ratwall-steward@0.service": 2.0,
    "ratwall-export.service": 2.0,
    "ratwall-console@tty1.service": 2.0,
    "ratwall-prepare.service": 2.0,
    "ratwall-seed.service": 2.0,
    "ratwall-boot-marks.service": 2.0,
    "ratwall-port@eth0.service": 2.0,
    "ratwall-controller.service": 2.5,
    "ratwall-rules.service": 3.0,
    "ratwall-ports.service": 2.5,
    # The self-test needs namespaces of its own; it runs for a minute after each start.
    "ratwall-health.service": 3.1,
    "ratwall-selftest.service": 3.1,
    "ratwall-firewall.service": 2.5,
    # It fetches as another user, and clears up what the page has taken in.
    "ratwall-update.service": 2.8,
    "ratwall-bundle.service": 2.8,
}
PROCESSES = (
    "ratwall-inspector@",
    "ratwall-rules",
    "ratwall-controller",
    "ratwall-web",
    "ratwall-export",
)
# The scripts around the data partition work on a block device as root, at a time when nothing from
# a network has come in: they are short instead.
NOT_JUDGED = {
    "ratwall-data.service",
    "ratwall-data-check.service",
    # It runs where the unit that is judged could not even be started, so it asks for nothing.
    "ratwall-takeback.service",
    # The shell of whoever was let in for a repair, with every right, for some hours.
    "ratwall-support.service",
}


def names() -> list[str]:
    """Every unit of the overlay, templates as an instance."""
    found = []
    for path in sorted(UNITS.iterdir()):
        if path.is_file():
            stem, _, kind = path.name.rpartition(".")
            found.append(f"{stem}{INSTANCES.get(stem, '')}.{kind}")
    return found


def analyze(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments],
        # Not /etc: what this machine has enabled is no part of the image.
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{directory}:{PACKAGED}"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def verify(directory: Path, *units: str) -> str:
    """What systemd has to complain of."""
    done = analyze(directory, "verify", "--man=no", *units)
    return (done.stdout + done.stderr).strip() or ("" if done.returncode == 0 else "refused")


def test_every_unit_is_understood(unit_directory: Path) -> None:
    assert verify(unit_directory, *names()) == ""


def test_a_boot_has_no_ordering_cycle(unit_directory: Path) -> None:
    assert verify(unit_directory, "multi-user.target") == ""


def test_the_judge_would_find_a_cycle_and_a_misspelling(
    unit_directory: Path, tmp_path: Path
) -> None:
    directory = shutil.copytree(unit_directory, tmp_path / "units", symlinks=True)
    ports = directory / "ratwall-ports.service"
    ports.write_text(ports.read_text().replace("After=", "After=ratwall-rules.service ", 1))
    web = directory / "ratwall-web.service"
    web.write_text(web.read_text().replace("NoNewPrivileges=", "NoNewPrivilege="))
    assert "ordering cycle" in verify(directory, "multi-user.target")
    assert "NoNewPrivilege" in verify(directory, "ratwall-web.service")


@pytest.mark.parametrize(("unit", "limit"), LIMITS.items())
def test_exposure_is_bounded_and_as_documented(
    unit_directory: Path, unit: str, limit: float
) -> None:
    table = analyze(unit_directory, "security", "--offline=true", "--no-pager", unit).stdout
    exposure = float(re.findall(r"exposure level for \S+: ([0-9.]+)", table)[0])
    (documented,) = re.findall(
        rf"^\| `{re.escape(unit)}` \| ([0-9.]+) \|",
        (ROOT / "docs/security.md").read_text(),
        re.MULTILINE,
    )
    assert exposure <= float(documented) <= limit


def test_every_service_is_judged() -> None:
    services = {name for name in names() if name.endswith(".service")}
    assert services == LIMITS.keys() | NOT_JUDGED


@pytest.mark.parametrize("process", PROCESSES)
def test_a_hung_process_is_killed_at_once_and_started_again(process: str) -> None:
    text = (UNITS / f"{process}.service").read_text()
    for line in ("Type=notify", "WatchdogSignal=SIGKILL", "Restart=always", "NoNewPrivileges=yes"):
        assert f"\n{line}\n" in text
    assert re.search(r"^WatchdogSec=[0-9]+$", text, re.MULTILINE)
    assert "\nStartLimitIntervalSec=0\n" in text


def test_the_bridge_waits_for_no_process_of_ratwall() -> None:
    """What networkd waits for is a shell script and a rule file, ordered but not required."""
    before = {
        path.name
        for path in UNITS.glob("*.service")
        for line in path.read_text().splitlines()
        if line.startswith("Before=") and {"systemd-networkd.service"} & set(line[7:].split())
    }
    assert before == {"ratwall-ports.service", "ratwall-firewall.service"}
    for path in UNITS.rglob("*"):
        if path.is_file():
            assert not re.search(r"^RequiredBy=.*networkd", path.read_text(), re.MULTILINE)
    port = (OVERLAY / "usr/lib/systemd/network/60-ratwall-port.network").read_text()
    assert "Bridge=br0" in port and "Type=ether" in port


def test_nobody_can_log_in() -> None:
    masked = {path.name for path in (OVERLAY / "etc/systemd/system").iterdir() if path.is_symlink()}
    assert masked >= {"getty@.service", "serial-getty@.service", "console-getty.service"}
    for name in masked:
        assert str((OVERLAY / "etc/systemd/system" / name).readlink()) == "/dev/null"
    for name in ("emergency", "rescue"):
        text = (UNITS / f"{name}.service.d/60-ratwall.conf").read_text()
        assert "sulogin" not in text and "reboot" in text


def test_every_link_leads_to_a_unit() -> None:
    links = [path for path in UNITS.glob("*.wants/*") if path.is_symlink()]
    assert {path.name for path in links} >= {"ratwall.target", "ratwall-bind.target", "var.mount"}
    for link in links:
        assert link.resolve().is_file(), link


def test_the_wait_for_a_partition_begins_with_udev(unit_directory: Path) -> None:
    """On a slow machine udev starts later than any time-out that suits a box without the disk."""
    for mount in ("data.mount", "mnt-bootsel.mount"):
        (device,) = re.findall(r"^BindsTo=(.*)$", (UNITS / mount).read_text(), re.MULTILINE)
        dropin = (unit_directory / f"{device}.d/60-ratwall.conf").read_text()
        assert "\nAfter=systemd-udevd.service\n" in dropin
        assert "\nJobRunningTimeoutSec=" in dropin
