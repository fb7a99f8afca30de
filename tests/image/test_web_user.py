"""What the admin page's user can read and write under its unit: no secret of the system, no file.

There is no systemd here to start the unit. What it would do with files (`ProtectSystem=strict`,
`ReadWritePaths=`), with rights and with the user is done by hand in a mount namespace of the test's
own; that the unit asks for it is read from the unit.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from image.conftest import UNITS

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes a mount namespace: run as root")

NOBODY = 65534
STATE = "/var/lib/ratwall"
UNIT = UNITS / "ratwall-web.service"
# Every mount read-only but the kernel's own, then the page's directory writable again.
CONFINE = """
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
while read -r _ _ _ _ place _; do
  case $place in "$1" | /proc* | /sys* | /dev*) continue ;; esac
  mount -o remount,bind,ro "$place" 2> /dev/null || true
done < /proc/self/mountinfo
shift
exec setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs --bounding-set -all \
  --inh-caps -all "$@"
"""
PROBE = """
import json, os, sys
web, *others = sys.argv[1:]
def may(act):
    try:
        act()
    except OSError:
        return False
    return True
def write(folder):
    path = os.path.join(folder, "probe")
    with open(path, "w") as file:
        file.write("x")
    os.unlink(path)
print(json.dumps({
    "writes": [folder for folder in (web, *others) if may(lambda: write(folder))],
    "reads": [path for path in ("/etc/shadow", "/etc/gshadow", "/etc/shadow-", others[0] + "/key")
              if may(lambda: open(path, "rb").read())],
    "root": may(lambda: os.setuid(0)),
}))
"""


def directives(path: Path) -> dict[str, list[str]]:
    """Return what a unit says, by directive."""
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith(("#", "[")):
            found.setdefault(name, []).append(value)
    return found


def test_the_unit_asks_for_it() -> None:
    unit = directives(UNIT)
    assert unit["User"] == unit["Group"] == ["ratwall-web"]
    assert unit["CapabilityBoundingSet"] == [""] and "AmbientCapabilities" not in unit
    assert unit["NoNewPrivileges"] == ["yes"] and unit["ProtectSystem"] == ["strict"]
    assert unit["ReadWritePaths"] == [f"{STATE}/web"], "its own directory, and nothing else"
    for name in ("ProtectHome", "PrivateTmp", "PrivateDevices", "PrivateNetwork"):
        assert unit[name] == ["yes"], name


@pytest.fixture
def state() -> Iterator[Path]:
    """Yield a directory that others can reach: pytest's own lie in one of root's."""
    with TemporaryDirectory(prefix="ratwall-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_the_pages_user_reads_no_password_file_and_writes_nothing_but_its_directory(
    state: Path,
) -> None:
    web = state / "web"
    web.mkdir(mode=0o700)
    os.chown(web, NOBODY, NOBODY)
    (state / "key").write_text("of the controller's")
    (state / "key").chmod(0o600)
    others = [str(state), "/etc", "/usr/lib", "/var/lib", "/var/log", "/root", "/home", "/tmp", "/"]
    done = subprocess.run(
        [
            *("unshare", "--mount", "sh", "-c", CONFINE, "sh", str(web)),
            *(sys.executable, "-I", "-c", PROBE, str(web), *others),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"writes": [str(web)], "reads": [], "root": False}
    assert list(web.iterdir()) == []
