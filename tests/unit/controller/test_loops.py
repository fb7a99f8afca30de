"""Ends of connections, as conntrack tells them, become attempts; a loop is told once an hour."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from ratwall.controller.loops import PAIRS_LIMIT, RESET_BYTES, TOLD_AGAIN_US, Loops
from ratwall.kernel.conntrack import FlowEvent
from ratwall.kernel.marks import FlowClass
from ratwall.loops.attempts import ENOUGH, SECOND, Surroundings
from ratwall.verdict.finding import Finding
from unit.controller.office import Office

DEVICE, SERVER = "192.168.1.10", "203.0.113.7"
MORNING = 1_750_000_000 * SECOND


class Watch:
    def __init__(self) -> None:
        self.found: list[Finding] = []
        self.names: dict[str, tuple[str, ...]] = {}
        self.loops = Loops(
            lambda server: Surroundings(devices=1, named=False),
            lambda: frozenset({6606}),
            self.found.append,
            lambda: MORNING,
            lambda server: self.names.get(server, ()),
        )

    def end(
        self,
        at: int,
        *,
        device: str = DEVICE,
        server: str = SERVER,
        port: int = 6606,
        received: int = 40,
        flow_class: FlowClass = FlowClass.NONE,
        ended: bool = True,
        source_port: int | None = None,
    ) -> None:
        source, destination = ip_address(device), ip_address(server)
        self.loops.take_event(
            FlowEvent(
                ended,
                source,
                at // SECOND % 10_000 + 50_000 if source_port is None else source_port,
                destination,
                port,
                flow_class,
                60,
                received,
                at,
            )
        )

    def loop(self, number: int = ENOUGH, start: int = MORNING, **changes: object) -> None:
        for attempt in range(number):
            self.end(start + attempt * 5 * SECOND, **changes)  # type: ignore[arg-type]


def test_a_loop_is_found_and_told_with_its_attempts() -> None:
    watch = Watch()
    watch.loop()
    (finding,) = watch.found
    assert (finding.rule, finding.device, finding.server) == ("loop.five-seconds", DEVICE, SERVER)
    assert finding.facts["beats"] == [MORNING + n * 5 * SECOND for n in range(ENOUGH)]
    assert [item.id for item in finding.evidence] == [
        "loop.five-seconds", "loop.port", "loop.odd-port", "loop.no-name", "loop.rare",
    ]  # fmt: skip


@pytest.mark.parametrize(("late", "told"), [(-SECOND, 1), (0, 2), (SECOND, 2)])
def test_it_is_told_again_after_an_hour(late: int, told: int) -> None:
    watch = Watch()
    watch.loop()
    first = watch.found[0].at
    watch.loop(start=first + TOLD_AGAIN_US + late - (ENOUGH - 1) * 5 * SECOND)
    assert len(watch.found) == told


@pytest.mark.parametrize(
    "changes",
    [
        {"received": RESET_BYTES + 1},
        {"flow_class": FlowClass.EXEMPT},
        {"ended": False},
        {"server": "192.168.1.77"},
        {"device": SERVER, "server": "198.51.100.1"},
    ],
    ids=["answered", "from outside", "still there", "inside the office", "no device"],
)
def test_what_is_no_failed_attempt(changes: dict[str, object]) -> None:
    watch = Watch()
    watch.loop(**changes)
    assert watch.found == []


def test_without_time_stamps_nothing_is_placed() -> None:
    watch = Watch()
    for _ in range(ENOUGH):
        watch.end(0)
    assert watch.found == []


def test_another_port_of_the_same_server_is_the_same_loop() -> None:
    watch = Watch()
    for number, port in enumerate((6606, 7707, 8808, 6606, 7707, 8808)):
        watch.end(MORNING + number * 5 * SECOND, port=port)
    (finding,) = watch.found
    assert finding.facts["ports"] == [6606, 7707, 8808]


def test_an_answer_ends_the_loop() -> None:
    watch = Watch()
    watch.loop(ENOUGH - 1)
    watch.end(MORNING + 24 * SECOND, received=5000)
    watch.end(MORNING + (ENOUGH - 1) * 5 * SECOND)
    assert watch.found == []


def test_memory_is_bounded() -> None:
    watch = Watch()
    for number in range(PAIRS_LIMIT + 10):
        watch.end(MORNING, server=f"203.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(watch.loops) == PAIRS_LIMIT


def test_a_system_that_asks_again_from_the_same_port_is_one_attempt() -> None:
    watch = Watch()
    for number in range(ENOUGH):
        for again in range(3):
            at = MORNING + number * 6 * SECOND + again * SECOND // 2
            watch.end(at, source_port=50_000 + number)
    assert [one.facts["period_us"] for one in watch.found] == [6 * SECOND]


@pytest.mark.parametrize(("received", "told"), [(0, 1), (40, 0)])
def test_whoever_refuses_is_not_waited_for(received: int, told: int) -> None:
    """26 seconds are the sleep and Windows' patience, where nobody answers; else another timer."""
    watch = Watch()
    for number in range(ENOUGH):
        watch.end(MORNING + number * 26 * SECOND, received=received)
    assert len(watch.found) == told


def test_a_name_with_many_addresses_is_one_server(tmp_path: Path) -> None:
    """Each address is tried once in a while; the loop is of the name. It goes on over a restart."""
    office = Office(tmp_path)
    servers = [f"203.0.113.{number}" for number in range(1, 5)]
    office.names = dict.fromkeys(servers, ("c2.example",))
    for number in range(4):
        office.loop(1, server=servers[number], port=6606)
    office.restart()
    for number in range(4, 30):
        office.loop(1, server=servers[number % 4], port=6606)
    (finding,) = [one for one in office.found if one.rule == "loop.five-seconds"]
    assert (finding.facts["name"], len(finding.facts["beats"])) == ("c2.example", ENOUGH)
    assert finding.server == servers[1], "the one that was tried last"
    office.stop()


def test_an_answer_of_one_address_ends_the_loop_of_the_name(tmp_path: Path) -> None:
    office = Office(tmp_path)
    servers = [f"203.0.113.{number}" for number in range(1, 4)]
    office.names = dict.fromkeys(servers, ("shop.example",))
    for number in range(40):
        answers = {"sent": 5000, "received": 5000} if number % 5 == 4 else {}
        office.loop(1, server=servers[number % 3], port=443, **answers)
    assert "loop.five-seconds" not in office.rules()
    office.stop()


def test_names_are_bounded() -> None:
    watch = Watch()
    for number in range(PAIRS_LIMIT + 10):
        server = f"203.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        watch.names = {server: (f"n{number}.example",)}
        watch.end(MORNING, server=server)
    assert len(watch.loops._named) == PAIRS_LIMIT
