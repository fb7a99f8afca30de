"""The data partition full, or gone: the office stays protected, and a person is told."""

import pytest

from hil.conftest import PASSWORD, Box, PowerOn
from hil.traffic import attack
from ratwall_lab.certificates import Identity
from ratwall_lab.endpoint import End

pytestmark = pytest.mark.full

# All but two megabytes at once, and the rest in small pieces.
FILL = """python3 - << 'END'
import contextlib, os
left = os.statvfs("/data")
with open("/data/filler", "wb") as file, contextlib.suppress(OSError):
    os.posix_fallocate(file.fileno(), 0, (left.f_bfree - 512) * left.f_frsize)
END
dd if=/dev/zero of=/data/rest bs=1k 2>&1; sync; df /data"""
# The number of the partition on every board's disk, and a name that nobody looks for.
HIDE = "sfdisk --part-label /dev/vda 6 {} && sync"
NO_PATIENCE = {r"dev-disk-by\x2dpartlabel-data.device": ""}


def notice(box: Box) -> str:
    """What the status has to say of the ledger."""
    return str(box.ask("status")["ledger"]["notice"] or "")


def is_cut(box: Box, rat: Identity, index: int) -> bool:
    """Whether a look-alike's connection to a server not seen before is cut."""
    attempt, visits = attack(box, rat, index)
    return attempt.end is End.RESET and sum(visit.application_bytes for visit in visits) == 0


def test_with_a_full_data_partition_it_protects_and_says_so(box: Box, rat: Identity) -> None:
    visitor = box.visitor()
    with box.lab.anna.enter():
        assert visitor.set_up(PASSWORD).status == 303
    filled = box.machine.succeed(FILL)
    assert "No space left" in filled
    assert is_cut(box, rat, 0)
    assert "full" in notice(box)
    with box.lab.anna.enter():
        assert "full" in visitor.get("/").text
    assert box.state() == "protecting"

    # Nor does it need any room to come up.
    box.machine.power_cut()
    box.wait_protecting()
    assert is_cut(box, rat, 1)
    assert "full" in notice(box)

    box.machine.succeed("rm /data/filler /data/rest")
    box.wait_for("the notice to go", lambda: "full" not in notice(box))
    assert is_cut(box, rat, 2)
    server = box.lab.internet.address(2)
    box.wait_for(
        "the incident on the disk",
        lambda: [i for i in box.ask("incidents") if i["server"] == server],
    )


def test_without_its_data_partition_it_protects_and_with_it_again_remembers(
    box: Box, power_on: PowerOn, rat: Identity
) -> None:
    assert is_cut(box, rat, 0)
    known = {one["id"] for one in box.wait_for("the incident", lambda: box.ask("incidents"))}
    box.machine.succeed(HIDE.format("elsewhere"))
    box.machine.crash()

    bare = power_on("bare", image=box.machine.disk, units=NO_PATIENCE)
    bare.wait_protecting()
    failed = {
        line.split()[0]
        for line in bare.machine.succeed("systemctl --failed --plain --no-legend").splitlines()
    }
    assert failed == set(), "nothing of the box fails for the lack of it"
    assert is_cut(bare, rat, 1)
    bare.machine.succeed(HIDE.format("data"))
    bare.machine.crash()

    again = power_on("again", image=bare.machine.disk)
    again.wait_protecting()
    assert known <= {one["id"] for one in again.ask("incidents")}
    attempt, _ = attack(again, rat)
    assert attempt.end is End.REFUSED, "the block of before is in force"
