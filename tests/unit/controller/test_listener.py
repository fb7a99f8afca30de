"""A part of the controller that only listens hears all there is, in the order it came."""

import os
from pathlib import Path

from ratwall.controller.books import Books
from ratwall.controller.listener import Listener
from ratwall.controller.messages import FlowReport
from ratwall.controller.proofs import Reported
from ratwall.kernel.conntrack import FlowEvent
from ratwall.ledger.store import FILE_NAME
from unit.controller.box import SERVER, Box, FakeInspector, Running, clean, eventually, proof

SECOND = 1_000_000


class Ear(Listener):
    """Notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.ticks: list[int] = []
        self.reader, self.writer = os.pipe()

    def start(self, books: Books) -> None:
        self.heard.append(("start", str(books.ledger.path)))

    def take_report(self, report: FlowReport, written: Reported) -> None:
        self.heard.append(("report", report.server, written))

    def take_event(self, event: FlowEvent) -> None:
        self.heard.append(("event", str(event.destination)))

    def fileno(self) -> int:
        return self.reader

    def take_copies(self) -> None:
        self.heard.append(("copies", os.read(self.reader, 9)))

    def tick(self, now: int) -> None:
        self.ticks.append(now)

    def stop(self) -> None:
        self.heard.append("stop")


def test_a_listener_hears_of_everything_from_the_start_to_the_end(box: Box) -> None:
    ear = Ear()
    box.listeners = [Listener(), ear]
    box.watch.table = [proof()]
    running = Running(box)
    started = ("start", str(box.state / FILE_NAME))
    assert ear.heard == [started, ("event", SERVER)], "the table, as it was found"

    inspector = FakeInspector(box.state)
    inspector.send(clean())
    eventually(lambda: ("report", SERVER, Reported(1, None)) in ear.heard)
    box.watch.show(proof())
    eventually(lambda: ear.heard[-1] == ("event", SERVER))
    os.write(ear.writer, b"copy")
    eventually(lambda: ear.heard[-1] == ("copies", b"copy"))
    box.now += SECOND
    eventually(lambda: ear.ticks[-1] == box.now)

    inspector.close()
    running.stop()
    assert ear.heard[-1] == "stop"
    os.close(ear.reader)
    os.close(ear.writer)


def test_another_ledger_is_told(box: Box) -> None:
    ear = Ear()
    box.listeners = [ear]
    running = Running(box)
    for leftover in Path(box.state).glob(f"{FILE_NAME}*"):
        leftover.unlink()
    box.now += 10 * SECOND
    eventually(lambda: len(ear.heard) == 2)
    assert ear.heard[0] == ear.heard[1] == ("start", str(box.state / FILE_NAME))
    running.stop()
    os.close(ear.reader)
    os.close(ear.writer)
