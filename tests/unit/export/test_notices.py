"""What people are told, and when: each incident once, nothing in the quiet hours, nothing lost."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratwall.export import notices
from ratwall.export.notices import GAP, NEWS, SECOND, Book, Message, due, quiet_end, sent, take
from ratwall.export.records import Record
from ratwall.settings.export import ExportMessages
from unit.export.conftest import record

NOON = int(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()) * SECOND  # a Tuesday
MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
POLICY = ExportMessages(page="https://box.example/")
QUIET = replace(POLICY, quiet_from="22:00", quiet_until="07:00", urgent_at_night=False)


class Telephone:
    """Somebody who is told, on a clock that is set by the test."""

    def __init__(self, policy: ExportMessages = POLICY, now: int = NOON) -> None:
        self.book, self.policy, self.now = Book(), policy, now
        self.sequence = 0
        self.messages: list[tuple[int, Message]] = []

    def hear(self, **changed: Any) -> Record:
        self.sequence += 1
        values = {"sequence": self.sequence, "time": self.now} | changed
        made = record(**values)
        take(self.book, made, self.policy, self.now, UTC)
        return made

    def incident(self, number: int, **changed: Any) -> Record:
        fields = {"id": number} | changed.pop("fields", {})
        return self.hear(fields=fields, **changed)

    def state(self, word: str, severity: int) -> None:
        self.hear(event="box_state", severity=severity, message=word, fields={"state": word})

    def pass_time(self, microseconds: int) -> list[Message]:
        """Let time pass, minute by minute; what came meanwhile."""
        before, until = len(self.messages), self.now + microseconds
        while self.now < until:
            self.now = min(until, self.now + MINUTE)
            message = due(self.book, self.policy, self.now, UTC, "box")
            if message is not None:
                self.messages.append((self.now, message))
                sent(self.book, message, self.policy, self.now, UTC)
        return [message for _, message in self.messages[before:]]


def test_one_incident_one_message_as_it_stands_when_it_is_sent() -> None:
    phone = Telephone()
    phone.incident(7, fields={"state": "blocking"})
    phone.incident(7, event="incident_changed", fields={"state": "blocked"})
    (message,) = phone.pass_time(10 * MINUTE)
    assert message.title == (
        "box: PC-ANNA tried to reach a remote-control server The connection was cut."
    )
    assert message.link == "https://box.example/incidents/7"
    assert "2026-11-24 12:00" in message.body
    phone.incident(7, event="incident_changed", fields={"state": "blocked"})
    assert phone.pass_time(HOUR) == []


def test_an_incident_that_gets_worse_is_told_again() -> None:
    phone = Telephone()
    phone.incident(7, severity=4, fields={"state": "alert"})
    assert len(phone.pass_time(5 * MINUTE)) == 1
    phone.incident(7, event="incident_changed", severity=2)
    assert len(phone.pass_time(5 * MINUTE)) == 1


def test_a_flood_is_one_message_with_a_list_and_a_number() -> None:
    phone = Telephone()
    for number in range(1, 31):
        phone.incident(number)
    (message,) = phone.pass_time(5 * MINUTE)
    assert message.title.endswith("And 29 more.")
    assert message.body.count("/incidents/") == 21
    assert "And 10 more: https://box.example/incidents/" in message.body


@pytest.mark.parametrize(
    ("level", "told"), [("critical", [2]), ("warning", [2, 4]), ("all", [2, 4, 5]), ("none", [])]
)
def test_only_what_is_bad_enough_is_told(level: str, told: list[int]) -> None:
    for severity in (2, 4, 5):
        phone = Telephone(replace(POLICY, level=level))
        phone.incident(7, severity=severity)
        assert bool(phone.pass_time(5 * MINUTE)) == (severity in told), severity


def test_a_moment_of_bypass_needs_nobody_and_a_long_one_is_told_with_its_end() -> None:
    phone = Telephone()
    phone.state("bypassed", 1)
    phone.now += 10 * SECOND
    phone.state("protecting", 5)
    assert phone.pass_time(10 * MINUTE) == []
    phone.state("bypassed", 1)
    assert "bypassed" in phone.pass_time(10 * MINUTE)[0].title
    phone.state("protecting", 5)
    assert "protecting" in phone.pass_time(10 * MINUTE)[0].title


def test_at_night_it_waits_for_the_morning_unless_it_is_urgent() -> None:
    night = NOON + 11 * HOUR
    phone = Telephone(QUIET, night)
    phone.incident(1)
    phone.incident(2, severity=4)
    assert phone.pass_time(7 * HOUR) == []
    (message,) = phone.pass_time(2 * HOUR)
    assert message.keys == ("incident 1", "incident 2")
    urgent = Telephone(replace(QUIET, urgent_at_night=True), night)
    urgent.incident(1)
    urgent.incident(2, severity=4)
    (message,) = urgent.pass_time(7 * HOUR)
    assert message.keys == ("incident 1",)


def test_what_is_old_is_no_news_for_who_is_told_for_the_first_time() -> None:
    phone = Telephone()
    phone.incident(1, time=NOON - NEWS - 1)
    phone.incident(2, time=NOON - NEWS)
    (message,) = phone.pass_time(5 * MINUTE)
    assert message.keys == ("incident 2",)


def test_a_summary_comes_at_its_hour_and_counts() -> None:
    phone = Telephone(replace(POLICY, level="none", digest="daily"))
    assert phone.pass_time(MINUTE) == []
    phone.incident(1, fields={"device_name": "PC-ANNA"})
    phone.incident(2, severity=4)
    phone.state("bypassed", 1)
    (message,) = phone.pass_time(24 * HOUR)
    assert datetime.fromtimestamp(phone.messages[0][0] / SECOND, UTC).hour == 8
    assert "tried to reach: 1" in message.body and "suspicious connections: 1" in message.body
    assert "nothing was inspected: 1" in message.body and "PC-ANNA" in message.body
    (message,) = phone.pass_time(24 * HOUR)
    assert "Nothing that wants a hand." in message.body


def test_a_weekly_summary_comes_on_mondays() -> None:
    phone = Telephone(replace(POLICY, level="none", digest="weekly"))
    assert len(phone.pass_time(14 * 24 * HOUR)) == 2
    days = [datetime.fromtimestamp(at / SECOND, UTC).weekday() for at, _ in phone.messages]
    assert days == [0, 0]


@pytest.mark.parametrize("hour", range(24))
def test_quiet_hours_in_the_boxs_time_over_a_change_of_the_clock(hour: int) -> None:
    """In Berlin the clocks went back on 25 October 2026, at three."""
    zone = ZoneInfo("Europe/Berlin")
    at = datetime(2026, 10, 24, 18, tzinfo=UTC).timestamp() + hour * 3600
    here = datetime.fromtimestamp(at, zone)
    end = quiet_end(QUIET, int(at) * SECOND, zone)
    if 7 <= here.hour < 22:
        assert end is None
    else:
        assert end is not None
        morning = datetime.fromtimestamp(end / SECOND, zone)
        assert (morning.hour, morning.minute) == (7, 0)
        assert 0 < end / SECOND - at <= 10 * 3600


EVENTS = st.lists(
    st.tuples(
        st.integers(1, 4),  # incident
        st.sampled_from([1, 2, 4, 5]),
        st.sampled_from(["incident_opened", "incident_changed", "box_state", "action_taken"]),
        st.integers(0, 300),  # minutes until then
        st.booleans(),  # the exporter is started again, and hears it once more
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(EVENTS, st.sampled_from([POLICY, QUIET, replace(QUIET, urgent_at_night=True)]))
def test_whatever_happens(events: list[Any], policy: ExportMessages) -> None:
    phone = Telephone(policy)
    owed: dict[str, int] = {}
    for number, severity, event, minutes, again in events:
        phone.pass_time(minutes * MINUTE)
        before = json.loads(json.dumps(phone.book.as_dict()))
        made = phone.incident(number, severity=severity, event=event)
        if again:
            phone.book = notices.book_of(json.loads(json.dumps(phone.book.as_dict())))
            take(phone.book, made, policy, phone.now, UTC)
        if event in notices.INCIDENTS and severity <= 4:
            key = f"incident {number}"
            owed[key] = min(severity, owed.get(key, 9))
        assert before["sequence"] < phone.book.sequence
    phone.pass_time(24 * HOUR)
    assert phone.book.waiting == [], "nothing waits for ever"
    told: dict[str, list[int]] = {}
    for at, message in phone.messages:
        for key in message.keys:
            told.setdefault(key, []).append(message.severity)
        if message.severity > 2 or not policy.urgent_at_night:
            assert quiet_end(policy, at, UTC) is None
    assert set(owed) <= set(told), "nothing is lost"
    for key in owed:
        assert len(told[key]) <= 3, "an incident is told again only when it is worse"
    times = [at for at, _ in phone.messages]
    assert all(later - sooner >= GAP for sooner, later in pairwise(times))
