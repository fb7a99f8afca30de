"""The slots as RAUC's own JSON and GRUB's own block show them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratwall.update.attempt import Tries
from ratwall.update.slots import (
    SlotError,
    other_slot,
    read_release,
    read_slots,
    read_tries,
    running_slot,
)

# From `rauc status --detailed --output-format=json` of RAUC 1.13 on a box, shortened.
STATUS: dict[str, Any] = {
    "compatible": "ratwall-lab_x86_64",
    "booted": "A",
    "boot_primary": "root.0",
    "slots": [
        {"boot.1": {"class": "boot", "bootname": None, "parent": "root.1", "slot_status": {}}},
        {
            "root.1": {
                "bootname": "B",
                "state": "inactive",
                "boot_status": "bad",
                "slot_status": {"bundle": {"version": "0.2.0"}},
            }
        },
        {"root.0": {"bootname": "A", "state": "booted", "boot_status": "good"}},
    ],
}
BLOCK = "# GRUB Environment Block\nORDER=B A\nA_OK=1\nA_TRY=0\nB_OK=0\nB_TRY=3\n" + "#" * 900


def test_both_slots_are_found_by_the_letter_that_the_boot_loader_uses() -> None:
    slots = read_slots(json.dumps(STATUS))
    assert slots["A"].good and slots["A"].version is None
    assert not slots["B"].good and slots["B"].version == "0.2.0"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"slots": []}', '{"slots": [1]}'])
def test_an_answer_without_two_slots_is_refused(text: str) -> None:
    with pytest.raises(SlotError):
        read_slots(text)


def test_grubs_block_says_whether_a_slot_is_good_and_how_often_it_was_tried() -> None:
    assert read_tries(BLOCK, "A") == Tries(ok=True, used=0)
    assert read_tries(BLOCK, "B") == Tries(ok=False, used=3)


@given(st.none() | st.text())
def test_a_broken_block_says_nothing(text: str | None) -> None:
    assert read_tries(text, "A") == Tries()


def test_a_block_with_other_values_is_not_guessed_at() -> None:
    assert read_tries("# GRUB Environment Block\nA_TRY=9\n", "A") == Tries()


def test_the_running_slot_is_what_the_kernel_was_told() -> None:
    assert running_slot("root=PARTLABEL=root-b ro rauc.slot=B\n") == "B"
    assert running_slot("quiet rauc.slot=X") is None
    assert running_slot("") is None
    assert (other_slot("A"), other_slot("B")) == ("B", "A")


def test_os_release_is_read_with_and_without_quotes() -> None:
    fields = read_release('# a comment\nID=ratwall\nVERSION_ID="0.2"\nnonsense\n')
    assert fields == {"ID": "ratwall", "VERSION_ID": "0.2"}
