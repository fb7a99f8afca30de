"""What the admin page asks of root, on a whole box: restart, support access, update, factory reset.

The path is the real one: page, controller, steward, systemd, RAUC, OpenSSH.
"""

import base64
import io
import subprocess
import zipfile
from pathlib import Path

import pytest

from hil.bundles import VERSION, Factory
from hil.conftest import IMAGE, PASSWORD, Box
from hil.test_update import START_SECONDS, wait_over, wait_started
from web.conftest import Answer, Visitor

pytestmark = pytest.mark.full

SSH_SECONDS = 90


@pytest.fixture(scope="session")
def factory(folder: Path) -> Factory:
    return Factory(IMAGE, folder / "upkeep-versions")


class Owner:
    """The shop's owner at the page, from a PC in the office."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.visitor: Visitor = box.visitor()

    def enter(self, *, first: bool) -> None:
        with self.box.lab.anna.enter():
            entered = self.visitor.set_up(PASSWORD) if first else self.visitor.log_in(PASSWORD)
        assert entered.status == 303, entered.text

    def get(self, path: str) -> Answer:
        with self.box.lab.anna.enter():
            return self.visitor.get(path)

    def post(self, path: str, **fields: str) -> Answer:
        with self.box.lab.anna.enter():
            return self.visitor.post(path, fields | {"csrf": self.visitor.csrf("/tokens/")})


def trail(box: Box) -> str:
    return box.machine.succeed(
        "python3 -c \"import sqlite3; print(sqlite3.connect('/var/lib/ratwall/ledger.sqlite3')"
        ".execute('SELECT event, detail FROM audit_entry').fetchall())\""
    )


def comes_in(box: Box, key: Path, address: str) -> bool:
    options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    options += ["-o", "BatchMode=yes", "-o", f"ConnectTimeout={SSH_SECONDS}", "-F", "none"]
    argv = ["ssh", *options, "-i", str(key), f"root@{address}", "ratwall status"]
    done = box.lab.anna.run(argv, check=False)
    return done.returncode == 0 and "Protecting" in done.stdout


def test_restart_support_access_bundle_and_factory_reset(box: Box, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    public = key.with_suffix(".pub").read_text()
    owner, address = Owner(box), box.address()
    owner.enter(first=True)

    assert not comes_in(box, key, address)
    opened = owner.post("/support/access", key=public, hours="1")
    assert opened.status == 303, opened.text
    box.wait_for("support access", lambda: comes_in(box, key, address), 2 * SSH_SECONDS)
    assert "Support access is on" in owner.get("/tokens/").text
    assert owner.post("/support/access/end").status == 303
    assert not comes_in(box, key, address)
    assert "Support access is on" not in owner.get("/tokens/").text
    said = box.wait_for("the trail", lambda: "support access is over" in (t := trail(box)) and t)
    assert "support-on" in said and "SHA256:" in said

    assert owner.post("/support/bundle").status == 303
    box.wait_for("the bundle", lambda: "Download the file" in owner.get("/support/").text, 180)
    raw = box.machine.succeed("base64 -w 0 /run/ratwall/support-bundle.zip")
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(raw))) as archive:
        assert "ratwall-controller" in archive.read("units.txt").decode()
        assert "ratwall" in archive.read("journal.txt").decode()

    # On once more, and restarted by the page: it is off.
    assert owner.post("/support/access", key=public, hours="1").status == 303
    box.machine.console.mark()
    assert "The box restarts" in owner.post("/power/restart").text
    wait_started(box, "A")
    box.wait_protecting()
    box.machine.succeed("test ! -e /run/ratwall/support-keys")
    box.machine.fail("systemctl is-active ratwall-support.service")
    assert not comes_in(box, key, box.address())
    assert "'restart'" in trail(box)

    owner = Owner(box)
    owner.enter(first=False)
    box.machine.succeed("echo mine > /etc/ratwall/mine")
    box.machine.console.mark()
    assert "forgets everything" in owner.post("/power/factory-reset", sure="yes").text
    wait_started(box, "A")
    box.wait_protecting()
    box.machine.succeed("test ! -e /etc/ratwall/mine && test ! -e /mnt/bootsel/factory-reset")
    box.machine.succeed("test -s /var/lib/ratwall/web/setup-code && mountpoint /var/lib/ratwall")
    assert "restart" not in trail(box)


def test_an_update_from_the_page(box: Box, factory: Factory) -> None:
    bundle = factory.make(VERSION)
    owner = Owner(box)
    owner.enter(first=True)
    assert "Runs now" in owner.get("/updates/").text
    cookie = "; ".join(f"{each.name}={each.value}" for each in owner.visitor.jar)
    csrf = owner.visitor.csrf
    box.machine.console.mark()
    with box.lab.anna.enter():
        token = csrf("/tokens/")
    sent = box.lab.anna.run(
        [
            *("curl", "--silent", "--insecure", "--upload-file", str(bundle), "--http1.1"),
            *("-H", f"Cookie: {cookie}", "-H", f"X-CSRF-Token: {token}"),
            *("-w", "%{http_code}", f"https://{box.address()}/updates/file"),
        ],
        check=False,
    )
    assert sent.stdout == "200", sent.stdout + sent.stderr
    box.machine.wait_for_console_text(r"ratwall: slot B, try \d", 2 * START_SECONDS)
    box.machine.wait_for_shell(START_SECONDS)
    found = wait_over(box)
    assert (found["version"], found["slot"], found["last"]["state"]) == (VERSION, "B", "good")
    box.machine.succeed("test ! -e /var/lib/ratwall/web/upload.raucb")
    box.wait_for("the trail", lambda: "passed its check" in trail(box))
    owner = Owner(box)
    owner.enter(first=False)
    assert f"Version {VERSION} runs and has passed its check." in owner.get("/updates/").text
