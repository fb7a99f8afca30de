"""Which disks are never written. What `lsblk` says is written out here as it says it."""

import json
from typing import Any

import pytest

from ratwall.errors import RatwallError
from ratwall_flash.disks import Disk, read_disks, why_not

NEEDED = 1_225_805_824  # an image of today


def entry(path: str, kind: str = "disk", **said: Any) -> dict[str, Any]:
    return {
        "path": path,
        "type": kind,
        "size": 31_914_983_424,
        "ro": False,
        "rm": True,
        "hotplug": True,
        "model": "SD/MMC Reader  ",
        "serial": "2012062914345300",
        "tran": "usb",
        "mountpoints": [None],
        "log-sec": 512,
        "fstype": None,
        "pkname": None,
        **said,
    }


def disk(*children: dict[str, Any], **said: Any) -> Disk:
    text = json.dumps({"blockdevices": [entry("/dev/sdb", children=list(children), **said)]})
    return read_disks(text)[0]


def test_a_card_in_a_reader_may_be_written() -> None:
    card = disk(entry("/dev/sdb1", "part"), entry("/dev/sdb2", "part", fstype="ext4"))
    assert why_not(card, NEEDED) is None
    assert card.describe() == "/dev/sdb: SD/MMC Reader, 31.9 GB, serial 2012062914345300, usb"


def test_a_built_in_disk_is_called_so() -> None:
    built_in = disk(rm=False, hotplug=False, tran="nvme", serial=None)
    assert built_in.describe() == "/dev/sdb: SD/MMC Reader, 31.9 GB, no serial, nvme, BUILT IN"


REFUSED = {
    "a partition": (disk(type="part", pkname="sdb"), "a partition, .* the disk is /dev/sdb"),
    "a DVD": (disk(type="rom"), "of kind rom"),
    "mounted": (
        disk(entry("/dev/sdb1", "part", mountpoints=["/media/anna/BOOT\x1b[2J"])),
        r"/dev/sdb1 is mounted at '/media/anna/BOOT\\x1b\[2J'; .*: umount /dev/sdb1",
    ),
    "itself mounted": (disk(mountpoints=["/mnt"]), "/dev/sdb is mounted at '/mnt'"),
    "the system's": (
        disk(entry("/dev/sdb2", "part", mountpoints=["/run/netns", "/"])),
        r"this machine runs from it \(/dev/sdb2 is /\); it is never written",
    ),
    "its swap": (
        disk(entry("/dev/sdb3", "part", mountpoints=["[SWAP]"])),
        r"this machine runs from it \(/dev/sdb3 is \[SWAP\]\)",
    ),
    "the system's, in an encrypted volume": (
        disk(
            entry(
                "/dev/sdb2",
                "part",
                children=[
                    entry(
                        "/dev/mapper/luks",
                        "crypt",
                        children=[entry("/dev/mapper/vg-root", "lvm", mountpoints=["/"])],
                    )
                ],
            )
        ),
        "this machine runs from it",
    ),
    "of an array": (
        disk(entry("/dev/sdb1", "part", children=[entry("/dev/md0", "raid1")])),
        r"in use: /dev/md0 \(raid1\) is made of it",
    ),
    "an empty reader": (disk(size=0), "no card in it"),
    "locked": (disk(ro=True), "read-only; is the little lock"),
    "of large sectors": (disk(**{"log-sec": 4096}), "sectors of 4096 bytes, expected 512"),
    "too small": (disk(size=NEEDED - 1), "too small: 1.2 GB, the image needs 1.2 GB"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_disk_is_refused_when_it_is(name: str) -> None:
    refused, words = REFUSED[name]
    reason = why_not(refused, NEEDED)
    assert reason is not None and pytest.RaisesExc(ValueError, match=words).matches(
        ValueError(reason)
    ), reason
    assert reason.isprintable()


def test_a_disk_may_be_just_large_enough() -> None:
    assert why_not(disk(size=NEEDED), NEEDED) is None
    assert why_not(disk(size=NEEDED + 512), NEEDED) is None


def test_what_a_disk_calls_itself_steers_no_terminal() -> None:
    assert disk(model="\x1b]0;sdb\x07Card", serial="\n").describe().isprintable()


@pytest.mark.parametrize("text", ["", "{}", '{"blockdevices": [{}]}', '{"blockdevices": [[]]}'])
def test_another_lsblk_is_told_of(text: str) -> None:
    with pytest.raises(RatwallError, match=r"lsblk: unexpected output .*util-linux 2\.37"):
        read_disks(text)
