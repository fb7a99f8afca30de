"""What may change at run time, and that nothing is changed where something may not."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from ratwall.controller.client import Client
from ratwall.errors import RatwallError, UsageError
from ratwall.kernel.install import Installation
from ratwall.kernel.ruleset import RulesetConfig
from ratwall.settings.schema import Settings
from ratwall.supervisor.reload import Door, Reload, fixed_changes
from ratwall.supervisor.state import StateDirectory

BEFORE = Settings()


def changed(section: str, **values: Any) -> Settings:
    return replace(BEFORE, **{section: replace(getattr(BEFORE, section), **values)})


@pytest.mark.parametrize(
    ("after", "names"),
    [
        (BEFORE, []),
        (changed("detection", watch=1, enforce=False), []),
        (changed("block", seconds=60), []),
        (changed("ledger", retention_days=1), []),
        (changed("never_block", addresses=("192.0.2.1",)), []),
        (changed("network", lan="eth9", mode="router"), ["[network] lan", "[network] mode"]),
        (changed("kernel", mark_mask=0xFF, queue=3), ["[kernel] mark_mask", "[kernel] queue"]),
        (changed("web", listen="127.0.0.1:1"), ["[web] listen"]),
    ],
)
def test_what_needs_a_restart_is_named(after: Settings, names: list[str]) -> None:
    assert fixed_changes(BEFORE, after) == names


class Stage:
    """Kernel, file and processes, as a list of what was done to them."""

    def __init__(self, after: Settings, *, broken: bool = False, silent: list[str] | None = None):
        self.done: list[str] = []
        self._broken, self._silent = broken, silent or []
        self.reload = Reload(
            BEFORE,
            lambda: (after, b"text"),
            lambda settings: RulesetConfig("a", "b", block_seconds=settings.block.seconds),
            cast(Installation, self._Kernel(self)),
            cast(StateDirectory, self),
        )

    class _Kernel:
        def __init__(self, stage: "Stage") -> None:
            self._stage = stage

        def reload(self, config: RulesetConfig) -> None:
            if self._stage._broken:
                raise RatwallError("nft: no")
            self._stage.done.append(f"kernel {config.block_seconds}")

    def write_settings(self, text: bytes) -> None:
        self.done.append(f"file {text.decode()}")

    def hang_up(self) -> list[str]:
        self.done.append("processes")
        return self._silent


def test_kernel_file_and_processes_in_this_order() -> None:
    stage = Stage(changed("block", seconds=61))
    stage.reload.apply(stage.hang_up)
    assert stage.done == ["kernel 61", "file text", "processes"]


def test_one_fixed_change_and_nothing_is_done() -> None:
    stage = Stage(replace(changed("block", seconds=61), web=replace(BEFORE.web, listen="[::1]:1")))
    with pytest.raises(UsageError, match=r"^\[web\] listen: cannot be changed while Ratwall runs"):
        stage.reload.apply(stage.hang_up)
    assert stage.done == []


def test_what_the_kernel_refuses_is_not_written_down() -> None:
    stage = Stage(changed("block", seconds=61), broken=True)
    with pytest.raises(RatwallError, match="nft: no"):
        stage.reload.apply(stage.hang_up)
    assert stage.done == []


def test_a_process_that_did_not_take_them_is_named() -> None:
    stage = Stage(BEFORE, silent=["inspector 1"])
    with pytest.raises(RatwallError, match="inspector 1 did not take them"):
        stage.reload.apply(stage.hang_up)


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    with closing(Door(tmp_path / "reload.sock")) as door:
        yield door


@pytest.mark.parametrize("error", [None, UsageError("[web] listen: no")])
def test_who_knocks_is_told_what_came_of_it(
    door: Door, tmp_path: Path, error: RatwallError | None
) -> None:
    told: list[object] = []

    def knock() -> None:
        try:
            told.append(Client(tmp_path / "reload.sock").call("reload"))
        except RatwallError as refusal:
            told.append(refusal)

    thread = threading.Thread(target=knock)
    thread.start()
    while not door.waiting:
        door.accept()
    door.answer(door.take(), error)
    thread.join()
    (answer,) = told
    if error is None:
        assert answer == {}
    else:
        assert isinstance(answer, UsageError)
        assert str(answer) == "[web] listen: no"


def test_one_that_left_holds_nobody_up(door: Door, tmp_path: Path) -> None:
    path = str(tmp_path / "reload.sock")
    with socket.socket(socket.AF_UNIX) as gone, socket.socket(socket.AF_UNIX) as patient:
        for each in (gone, patient):
            each.connect(path)
            door.accept()
        gone.close()
        patient.sendall(b'{"command": "reload"}\n')
        door.answer(door.take(), None)
        assert json.loads(patient.recv(100)) == {"ok": True, "result": {}}


@pytest.mark.parametrize(
    ("asked", "packs_only"),
    [
        (["packs"], True),
        (["packs", "packs"], True),
        (["packs", "reload"], False),
        (["reload"], False),
        (["\x00"], False),
    ],
)
def test_packs_alone_are_taken_only_if_nobody_asks_for_more(
    door: Door, tmp_path: Path, asked: list[str], packs_only: bool
) -> None:
    with ExitStack() as stack:
        for command in asked:
            each = stack.enter_context(socket.socket(socket.AF_UNIX))
            each.connect(str(tmp_path / "reload.sock"))
            each.sendall(json.dumps({"command": command}).encode() + b"\n")
            door.accept()
        waiting = door.take()
        assert door.packs_only is packs_only
        door.answer(waiting, None)
    assert door.take() == []
    assert not door.packs_only, "nobody asks for nothing"


def test_packs_are_taken_without_a_look_at_the_settings() -> None:
    stage = Stage(changed("network", mode="router"))  # which could not be taken
    stage.reload.apply_packs(stage.hang_up)
    assert stage.done == ["processes"]
    silent = Stage(BEFORE, silent=["inspector 1"])
    with pytest.raises(RatwallError, match="inspector 1 did not take the packs in time"):
        silent.reload.apply_packs(silent.hang_up)
