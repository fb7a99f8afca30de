"""What conntrack tells: proofs of cuts, ends of connections, and what the whole table says."""

from dataclasses import replace

from ratwall.kernel.marks import FlowClass
from ratwall.ledger import queries
from unit.controller.box import (
    NOON,
    SERVER,
    Box,
    FakeInspector,
    Running,
    clean,
    eventually,
    proof,
    report,
)
from unit.controller.reading import only_incident, state_of

DAY_SECONDS = 86_400
SECOND = 1_000_000


def test_a_cut_connection_is_blocking_first_and_blocked_when_the_kernel_shows_it(
    box: Box, inspector: FakeInspector
) -> None:
    inspector.send(report())
    story = only_incident(box)
    assert story["state"] == "blocking"
    assert story["headline"].endswith("being blocked")
    assert box.sets.blocked == {(SERVER, 6606): DAY_SECONDS}
    (action,) = story["actions"]
    assert (action["author"], action["reason"]) == ("rule", "The name.")
    assert action["expires"] == story["blocked_until"] == NOON + DAY_SECONDS * SECOND

    box.watch.show(proof())

    eventually(lambda: state_of(box) == "blocked")
    story = only_incident(box)
    assert story["headline"].endswith(": blocked")
    (flow,) = story["flows"]
    assert flow["proven"]
    assert flow["evidence"] == [
        {"id": "asyncrat.name", "points": 95, "text": "The name.", "technique": "T1573.002"}
    ]


def test_the_proof_may_come_before_the_report(
    box: Box, running: Running, inspector: FakeInspector
) -> None:
    box.watch.show(proof())
    running.call("status")  # the proof was read in the turn before
    inspector.send(report())
    eventually(lambda: state_of(box) == "blocked")


def test_a_proof_of_another_connection_proves_nothing(box: Box, inspector: FakeInspector) -> None:
    inspector.send(report())
    only_incident(box)
    box.watch.show(proof(source_port=50_001))
    box.watch.show(proof(flow_class=FlowClass.CLEAN))
    inspector.send(clean())
    with box.reading() as ledger:
        eventually(lambda: len(queries.flows(ledger)) == 2)
    assert state_of(box) == "blocking"


def test_the_proof_of_an_earlier_attempt_does_not_speak_for_the_last_one(
    box: Box, running: Running, inspector: FakeInspector
) -> None:
    inspector.send(report())
    inspector.send(report(client_port=50_001))
    eventually(lambda: only_incident(box)["count"] == 2)
    box.watch.show(proof())  # of the first attempt
    with box.reading() as ledger:
        eventually(lambda: queries.flows(ledger)[-1]["proven"])
    assert state_of(box) == "blocking"
    box.watch.show(proof(source_port=50_001))
    eventually(lambda: state_of(box) == "blocked")


def test_a_connection_first_seen_from_the_server_is_proven_too(
    box: Box, inspector: FakeInspector
) -> None:
    inspector.send(report())
    event = proof()
    box.watch.show(
        replace(
            event,
            source=event.destination,
            source_port=event.destination_port,
            destination=event.source,
            destination_port=event.source_port,
        )
    )
    eventually(lambda: state_of(box) == "blocked")


def test_lost_events_are_looked_up_in_the_table(box: Box, inspector: FakeInspector) -> None:
    inspector.send(report())
    only_incident(box)
    box.watch.table = [proof()]
    box.watch.overflows = 1
    box.watch.show(proof(source_port=1))
    eventually(lambda: state_of(box) == "blocked")


def test_the_end_of_a_connection_is_written_down(box: Box, inspector: FakeInspector) -> None:
    inspector.send(clean())
    with box.reading() as ledger:
        eventually(lambda: queries.flows(ledger))
        box.now += 7 * SECOND
        box.watch.show(proof(destination_port=443, flow_class=FlowClass.CLEAN, ended=True))
        eventually(lambda: queries.flows(ledger)[0]["end"] == NOON + 7 * SECOND)


def test_a_table_that_could_not_be_read_at_the_start_is_read_later(box: Box) -> None:
    first = Running(box)
    inspector = FakeInspector(box.state)
    inspector.send(report())
    eventually(lambda: box.sets.blocked)
    inspector.close()
    box.watch.table = [proof()]
    box.watch.broken = True
    box.watch.overflows = 1
    box.watch.show(proof(source_port=1))
    eventually(lambda: "conntrack" in (first.call("status")["kernel_problem"] or ""))
    assert state_of(box) == "blocking"
    box.watch.broken = False
    box.now += 10 * SECOND
    eventually(lambda: state_of(box) == "blocked")
    first.stop()
