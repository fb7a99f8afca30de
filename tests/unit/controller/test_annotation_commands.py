"""What a person writes down: a note on an incident, a name for a device."""

import pytest

from ratwall.errors import UsageError
from ratwall.ledger import queries
from unit.controller.box import CLIENT, Box, FakeInspector, Running, clean, eventually, report

OTHER = "192.168.1.99"


@pytest.fixture
def known(box: Box, inspector: FakeInspector) -> FakeInspector:
    """An incident of one device, and a second device."""
    inspector.send(report())
    inspector.send(clean(client=OTHER, mac=None))
    eventually(lambda: len(devices(box)) == 2)
    eventually(lambda: box.sets.blocked)
    return inspector


def devices(box: Box) -> dict[str, str | None]:
    with box.reading() as ledger:
        return {row["address"]: row["name"] for row in queries.devices(ledger)}


def note(box: Box) -> str | None:
    with box.reading() as ledger:
        found = queries.incident(ledger, 1)
    assert found is not None
    text: str | None = found["note"]
    return text


def refusal(running: Running, command: str, **arguments: object) -> str:
    with pytest.raises(UsageError) as refused:
        running.call(command, **arguments)
    return str(refused.value)


def test_a_note_is_kept_through_the_next_attempt_and_taken_away_again(
    box: Box, running: Running, known: FakeInspector
) -> None:
    written = "Anna was asked.\nShe knows nothing of it."
    assert running.call("note", incident=1, text=f" {written} ")["note"] == written
    assert note(box) == written
    known.send(report(client_port=50_123))

    def attempts() -> int:
        with box.reading() as ledger:
            found = queries.incident(ledger, 1)
        return 0 if found is None else int(found["count"])

    eventually(lambda: attempts() == 2)
    assert note(box) == written
    running.call("note", incident=1, text="")
    assert note(box) is None


def test_a_note_that_cannot_be_is_refused(box: Box, running: Running, known: FakeInspector) -> None:
    running.call("note", incident=1, text="as it was")
    assert "there is no incident 7" in refusal(running, "note", incident=7, text="x")
    assert "at most 2000 characters" in refusal(running, "note", incident=1, text="x" * 2001)
    assert "control characters" in refusal(running, "note", incident=1, text="\x1b[2J")
    assert note(box) == "as it was"


def test_a_device_gets_a_name_and_is_meant_by_it(
    box: Box, running: Running, known: FakeInspector
) -> None:
    number = next(row for row in (1, 2) if device_address(box, row) == CLIENT)
    running.call("name", device=number, name="  PC  Anna ")
    assert devices(box) == {CLIENT: "PC Anna", OTHER: None}
    assert running.call("quarantine", device="PC Anna", reason="odd")["device"] == CLIENT
    running.call("name", device=number, name="")
    assert devices(box) == {CLIENT: None, OTHER: None}


def test_a_name_that_could_mean_another_is_refused(
    box: Box, running: Running, known: FakeInspector
) -> None:
    running.call("name", device=1, name="PC Anna")
    assert "is called 'PC Anna' already" in refusal(running, "name", device=2, name="PC Anna")
    for name in ("192.168.1.5", "2001:db8::1", "02:00:00:00:00:01", "a\x00b"):
        assert "no address" in refusal(running, "name", device=2, name=name)
    assert "there is no device 9" in refusal(running, "name", device=9, name="x")
    assert sorted(filter(None, devices(box).values())) == ["PC Anna"]


def device_address(box: Box, number: int) -> str:
    with box.reading() as ledger:
        found = queries.device(ledger, number)
    assert found is not None
    return str(found["address"])
