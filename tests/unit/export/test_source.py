"""The journal in the ledger misses nothing, repeats little, and is read in order."""

from pathlib import Path

from ratwall.export.records import Record
from ratwall.export.source import FIRST_LOOK_US, Position, backlog, look, read, start
from ratwall.ledger import models
from ratwall.ledger.store import FILE_NAME, Ledger, open_ledger
from unit.export.conftest import Story, now

HOUR = 3_600_000_000  # microseconds
ENOUGH = 1000


def told(ledger: Ledger, position: Position) -> tuple[list[Record], Position]:
    batch = read(ledger, position, ENOUGH)
    return list(batch.records), batch.position


def begin(ledger: Ledger) -> Position:
    return start(ledger, None, now())


def test_an_incident_is_told_when_it_opens_and_when_it_changes(
    story: Story, ledger: Ledger
) -> None:
    here = begin(ledger)
    number = story.incident()
    (opened,), here = told(ledger, here)
    assert (opened.event, opened.fields["state"]) == ("incident_opened", "blocking")
    assert opened.fields["device"] == "192.168.1.10"
    assert opened.fields["certificate_subject"] == "CN=AsyncRAT Server"
    assert opened.fields["techniques"] == ("T1573.002",)
    story.change(number, state="blocked")
    (changed,), here = told(ledger, here)
    assert (changed.event, changed.fields["state"]) == ("incident_changed", "blocked")
    assert changed.sequence > opened.sequence
    assert told(ledger, here)[0] == []


def test_a_client_that_tries_again_and_again_is_told_of_once_an_hour(
    story: Story, ledger: Ledger
) -> None:
    """Each repeat is blocking for a moment and then blocked: 17,000 times a day."""
    opened = now() // HOUR * HOUR
    number = story.incident(opened=opened, updated=opened, state="blocked")
    here = told(ledger, begin(ledger))[1]
    for count in range(2, 30):
        story.change(number, state="blocking", count=count, updated=opened + count)
        story.change(number, state="blocked", count=count)
    assert told(ledger, here)[0] == []
    story.change(number, state="blocking", count=31, updated=opened + HOUR)
    story.change(number, state="blocked", count=31)
    (record,), _ = told(ledger, here)
    assert record.fields["count"] == 31


def test_what_changes_and_changes_back_is_told_both_times(story: Story, ledger: Ledger) -> None:
    number = story.incident(state="would_block")
    here = told(ledger, begin(ledger))[1]
    for state in ("released", "would_block"):
        story.change(number, state=state)
        (record,), here = told(ledger, here)
        assert record.fields["state"] == state


def test_actions_and_states_of_the_box_are_told(story: Story, ledger: Ledger) -> None:
    here = begin(ledger)
    number = story.action(server="203.0.113.7", server_port=6606)
    story.state("bypassed", "no inspector is running")
    story.writer.update(models.Action, number, {"undone": now()})
    story.flush()
    records, _ = told(ledger, here)
    assert [record.event for record in records] == ["action_taken", "box_state", "action_undone"]
    assert records[1].message == "Bypassed: no inspector is running"
    assert records[1].severity == 1  # somebody must look at once (RFC 5424)
    assert records[2].message.startswith("undone by rule: block 203.0.113.7")


def test_what_was_forgotten_is_passed_by_and_no_number_is_given_twice(
    story: Story, ledger: Ledger
) -> None:
    here = begin(ledger)
    number = story.incident()
    _, here = told(ledger, here)
    story.writer.run(models.Incident.delete().where(models.Incident.id == number))
    story.flush()
    assert backlog(ledger, here) == 0
    story.incident(server="203.0.113.8")
    assert [record.fields["server"] for record in told(ledger, here)[0]] == ["203.0.113.8"]


def test_a_batch_is_bounded_and_goes_on_where_it_ended(story: Story, ledger: Ledger) -> None:
    here = begin(ledger)
    servers = story.incidents(5)
    seen = []
    for left in (3, 1, 0):
        batch = read(ledger, here, 2)
        here = batch.position
        seen += [record.fields["server"] for record in batch.records]
        assert backlog(ledger, here) == left
    assert seen == servers


def test_who_is_told_for_the_first_time_hears_of_the_last_day(story: Story, ledger: Ledger) -> None:
    story.incidents(3)
    begun = now()
    assert len(told(ledger, start(ledger, None, begun))[0]) == 3
    assert told(ledger, start(ledger, None, begun + FIRST_LOOK_US + HOUR))[0] == []


def test_another_ledger_is_told_from_its_beginning(
    story: Story, ledger: Ledger, tmp_path: Path
) -> None:
    """The old one was broken and set aside: its numbers say nothing in the new one."""
    story.incidents(3)
    _, here = told(ledger, begin(ledger))
    with open_ledger(tmp_path / f"new-{FILE_NAME}") as fresh:
        Story(fresh).incident(server="203.0.113.99")
        shown = look(fresh, here, here, ENOUGH, now())
    assert [record.fields["server"] for record in shown.batch.records] == ["203.0.113.99"]
    assert shown.start.ledger != here.ledger
