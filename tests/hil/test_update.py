"""Another version on a box: one that works, some that do not, some that never get onto it."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hil.bundles import (
    VERSION,
    Factory,
    without_first_program,
    without_inspectors,
    without_kernel,
)
from hil.conftest import IMAGE, Box
from hil.traffic import attack
from ratwall_lab.certificates import Identity
from ratwall_lab.endpoint import End
from ratwall_lab.topology import GATEWAY, OFFICE_IPV4

# An installation and a start or two each: some minutes. One that works and one that does not are
# tried at every run, the others in `make hil-full`.

PORT = 8000
INSTALL_SECONDS = 1200.0  # some hundred megabytes through an emulated processor, hashed on the way
START_SECONDS = 900.0  # from a restart to the boot loader's next word, and to the shell
CHECK_SECONDS = 900.0  # from a start until the version's check is over
ASK_SECONDS = 300.0  # RAUC is started by the question, and asks GRUB's tool for each mark
GRUBENV = "grub-editenv /mnt/bootsel/EFI/BOOT/grubenv list"


@pytest.fixture(scope="session")
def factory(folder: Path) -> Factory:
    return Factory(IMAGE, folder / "versions")


@contextmanager
def served(box: Box, file: Path) -> Iterator[str]:
    """A technician's laptop on the internet's side that has a file; its address."""
    handler = _handler(file)
    with box.lab.internet.enter():
        server = http.server.ThreadingHTTPServer((f"{OFFICE_IPV4}{GATEWAY}", PORT), handler)
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{OFFICE_IPV4}{GATEWAY}:{PORT}/{file.name}"
        finally:
            server.shutdown()
            thread.join()


def _handler(file: Path) -> type[http.server.SimpleHTTPRequestHandler]:
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(file.parent))

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    return Handler


def update(box: Box) -> dict[str, Any]:
    """What the box says of its versions."""
    answer: dict[str, Any] = json.loads(
        box.machine.succeed("ratwall update status --json", timeout=ASK_SECONDS)
    )
    return answer


def install(box: Box, bundle: Path) -> None:
    """Install an update and leave the restart."""
    with served(box, bundle) as url:
        said = box.machine.succeed(
            f"ratwall update install --no-restart {url} 2>&1", timeout=INSTALL_SECONDS
        )
    assert "it counts when it has passed its check" in said
    assert "no traffic passes" in said


def restart(box: Box) -> None:
    """Restart the box in order, from outside its shell."""
    box.machine.console.mark()
    box.machine.succeed("(sleep 1; systemctl --no-block reboot) > /dev/null 2>&1 &")


def wait_started(box: Box, slot: str) -> None:
    """Wait until a slot is started, and runs commands."""
    box.machine.wait_for_console_text(rf"ratwall: slot {slot}, try \d", START_SECONDS)
    box.machine.wait_for_shell(START_SECONDS)


def wait_over(box: Box) -> dict[str, Any]:
    """Wait until it is known what became of the last update."""

    def over() -> dict[str, Any] | None:
        # The shell is up before the bus is, by which RAUC is asked, and before the data partition.
        answer = box.machine.execute("ratwall update status --json", timeout=ASK_SECONDS)
        if answer.status != 0:
            return None
        found: dict[str, Any] = json.loads(answer.output)
        return found if (found["last"] or {}).get("state") in ("good", "failed") else None

    found: dict[str, Any] = box.wait_for("the version's check", over, CHECK_SECONDS)
    return found


def test_a_version_that_works_counts_once_it_has_passed_its_check(
    box: Box, factory: Factory, rat: Identity
) -> None:
    before = update(box)
    assert (before["slot"], before["last"]) == ("A", None)
    install(box, factory.make())
    installed = update(box)
    assert installed["version"] == before["version"]
    assert installed["last"]["state"] == "installed", "reported before it had run at all"

    restart(box)
    wait_started(box, "B")
    found = wait_over(box)
    assert (found["version"], found["slot"]) == (VERSION, "B")
    assert found["last"]["state"] == "good"
    env = box.machine.succeed(GRUBENV).split("\n")
    assert {"ORDER=B A", "B_OK=1", "B_TRY=0", "A_OK=1"} <= set(env)
    attempt, visits = attack(box, rat)
    assert attempt.end is End.RESET
    assert sum(visit.application_bytes for visit in visits) == 0

    # And back, by hand: the other slot is good, so it may be asked for.
    box.machine.succeed("ratwall update rollback --no-restart", timeout=ASK_SECONDS)
    restart(box)
    wait_started(box, "A")
    back = wait_over(box)
    assert (back["slot"], back["last"]["state"]) == ("A", "good")
    assert back["version"] == before["version"] == back["last"]["version"]


def test_a_version_that_inspects_nothing_is_taken_back_and_the_owner_reads_why(
    box: Box, factory: Factory, rat: Identity
) -> None:
    before = update(box)["version"]
    install(box, factory.make("9.0.1", root=without_inspectors))
    restart(box)
    box.machine.wait_for_console_text(r"ratwall: slot B, try 1", START_SECONDS)
    wait_started(box, "A")
    found = wait_over(box)
    assert (found["version"], found["slot"]) == (before, "A")
    assert found["last"]["state"] == "failed"
    assert "self-test" in found["last"]["reason"]
    assert found["other"]["good"] is False
    assert "slot B is not good" in box.machine.fail(
        "ratwall update rollback 2>&1", timeout=ASK_SECONDS
    )
    box.wait_protecting()
    attempt, _ = attack(box, rat)
    assert attempt.end is End.RESET
    visitor = box.visitor()
    with box.lab.anna.enter():
        assert visitor.set_up("a fine day for a swim").status == 303
        assert "The update to version 9.0.1 did not work" in visitor.get("/").text


@pytest.mark.full
@pytest.mark.parametrize("change", [without_first_program, without_kernel])
def test_a_version_that_does_not_start_is_left_after_three_tries(
    box: Box, factory: Factory, change: Callable[[Path], None]
) -> None:
    box.machine.may_panic = True
    install(box, factory.make(f"9.0.{2 + (change is without_kernel)}", boot=change))
    restart(box)
    box.machine.wait_for_console_text(r"ratwall: slot B, try 3", 2 * START_SECONDS)
    wait_started(box, "A")
    found = wait_over(box)
    assert (found["slot"], found["last"]["state"]) == ("A", "failed")
    assert found["last"]["reason"] == "it did not start (3 tries)"
    assert found["other"]["good"] is False
    box.wait_protecting()


@pytest.mark.full
def test_what_is_not_for_this_box_or_not_whole_is_refused_before_anything_is_written(
    box: Box, factory: Factory, tmp_path: Path
) -> None:
    good = factory.make("9.0.4")
    whole = good.read_bytes()
    cut = tmp_path / "cut.raucb"
    cut.write_bytes(whole[: len(whole) // 2])
    changed = tmp_path / "changed.raucb"
    # One bit of the signed part, in the middle of the signature at the end.
    changed.write_bytes(whole[:-400] + bytes([whole[-400] ^ 1]) + whole[-399:])
    other = factory.make("9.0.5", board="rpi5")
    before = box.machine.succeed(GRUBENV)
    for file, words in (
        (cut, "cut off"),
        (changed, "is not signed by anybody whom this box trusts"),
        (other, "is for board rpi5, this box is"),
    ):
        with served(box, file) as url:
            said = box.machine.fail(f"ratwall update install {url} 2>&1", timeout=INSTALL_SECONDS)
        assert words in said, said
    assert box.machine.succeed(GRUBENV) == before
    assert update(box)["last"] is None
    # What RAUC itself keeps of the slots may lie there, and nothing else.
    assert set(box.machine.succeed("ls /data/update").split()) <= {"central.raucs"}


@pytest.mark.full
def test_a_power_cut_during_an_installation_is_told_and_the_next_one_works(
    box: Box, factory: Factory
) -> None:
    bundle = factory.make("9.0.6")
    with served(box, bundle) as url:
        box.machine.succeed(
            f"setsid ratwall update install {url} > /run/update.log 2>&1 < /dev/null &"
        )
        box.machine.wait_until_succeeds("grep -q 'Copying image' /run/update.log", INSTALL_SECONDS)
    box.machine.power_cut()
    wait_started(box, "A")
    found = wait_over(box)
    assert (found["slot"], found["last"]["state"]) == ("A", "failed")
    assert "cut short" in found["last"]["reason"]
    assert found["other"]["good"] is False
    box.wait_protecting()

    install(box, bundle)
    restart(box)
    wait_started(box, "B")
    assert wait_over(box)["last"]["state"] == "good"
