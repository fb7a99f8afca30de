"""From power-on to "inline and protecting", on an image that was never started before."""

from hil.conftest import Booted, Box
from hil.stages import PASSES, PROTECTS


def test_the_first_boot_ends_protecting_and_nothing_failed(booted: Booted) -> None:
    facts = booted.report.facts
    assert facts["failed units"] == ""
    assert facts["ordering cycles"] == ""
    assert facts["taint"] == "0"
    assert facts["writable root"] != "yes"


def test_office_traffic_passes_before_ratwall_is_up_and_from_then_on(booted: Booted) -> None:
    report = booted.report
    assert report.seconds[PASSES] < report.seconds[PROTECTS]
    assert report.lost == 0, f"pings got lost once the cable was in\n{report.text()}"


def test_the_kernel_queues_by_nftables_and_the_fast_path_is_there(box: Box) -> None:
    assert "queue" in box.machine.succeed("nft list table inet ratwall")
    box.machine.succeed("python3 -P -c 'import ratwall.queue.fastpath'")


def test_the_box_can_say_which_slot_it_runs_and_has_counted_the_try(box: Box) -> None:
    assert "rauc.slot=A" in box.machine.succeed("cat /proc/cmdline")
    env = box.machine.succeed("grub-editenv /mnt/bootsel/EFI/BOOT/grubenv list")
    assert "A_OK=1" in env
    assert "B_TRY=0" in env
