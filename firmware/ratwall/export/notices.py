"""What people are told, and when: records and a clock in, messages out.

Pure. A book holds what waits, what has been told, and what the next summary will say; it is kept on
disk by whoever sends, so that a restart or an outage repeats nothing and loses nothing. Records may
come twice: the book knows how far it has read.

Design note: a message waits for some seconds before it is due. An incident that is being blocked is
blocked by then, and a box that was bypassed for a moment needs nobody; what came meanwhile goes out
as one message.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, time, timedelta, tzinfo
from typing import Any, Final

from ratwall.export.records import ALERT, CRITICAL, NOTICE, WARNING, Record, clean
from ratwall.settings.export import ExportMessages

SECOND: Final = 1_000_000
INCIDENT_SETTLES: Final = 15 * SECOND  # the kernel's word on a cut comes within two
STATE_SETTLES: Final = 60 * SECOND  # a restart of all processes takes less
NEWS: Final = 3600 * SECOND  # who is told for the first time hears of the last hour, not of a day
GAP: Final = 60 * SECOND  # between two messages: a telephone that buzzes on and on is muted
LISTED: Final = 20  # things in one message; the rest is counted
WAITING_LIMIT: Final = 500  # things that wait: a night of a scan; the rest is counted
TOLD_LIMIT: Final = 2000  # incidents remembered as told: months of an office
DEVICES_LIMIT: Final = 200  # of a summary
TEXT_LIMIT: Final = 300  # characters of a sentence
LEVELS: Final = {"critical": CRITICAL, "warning": WARNING, "all": NOTICE, "none": 0}
INCIDENTS: Final = ("incident_opened", "incident_changed")
BAD_STATE: Final = WARNING  # of this severity or worse a state is bad, and its end is told

WHAT_BECAME: Final = {
    "blocking": "The connection is being cut.",
    "blocked": "The connection was cut.",
    "would_block": "It was not cut: the box only watches.",
    "alert": "It was not cut: the signs are too few.",
    "allowed": "It passes, because somebody allowed it.",
    "released": "The block was taken away.",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that somebody shall be told."""

    key: str  # the same for all that is about one incident, or about the box's state
    time: int
    severity: int
    text: str
    path: str  # of the page that says more
    due: int


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent."""

    title: str
    body: str
    link: str
    severity: int
    keys: tuple[str, ...]
    digest: bool = False


@dataclass(slots=True)
class Book:
    """What is known between two messages; times are UTC microseconds."""

    ledger: str = ""
    sequence: int = 0
    since: int = 0  # what was before is no news any more
    waiting: list[Notice] = field(default_factory=list)
    unlisted: int = 0  # things that waited when there was no room left
    told: dict[str, int] = field(default_factory=dict)  # incident → severity it was told with
    bad_told: bool = False  # somebody was told that the box is not well
    sent_at: int = 0
    digest_at: int = 0
    counts: dict[str, int] = field(default_factory=dict)  # of the summary to come
    devices: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return asdict(self)


def book_of(document: Mapping[str, Any]) -> Book:
    """Return a book that was kept; TypeError or KeyError if it is none."""
    known = {each.name: document[each.name] for each in fields(Book)}
    known["waiting"] = [Notice(**each) for each in document["waiting"]]
    return Book(**known)


def take(book: Book, record: Record, policy: ExportMessages, now: int, zone: tzinfo) -> None:
    """Take a record in; one that was taken before changes nothing."""
    if record.ledger == book.ledger and record.sequence <= book.sequence:
        return
    if record.ledger != book.ledger:
        book.told.clear()  # another ledger counts its incidents anew
    book.ledger, book.sequence = record.ledger, record.sequence
    if not book.since:
        book.since = now - NEWS
    _count(book, record)
    if record.time < book.since:
        return
    if record.event in INCIDENTS:
        _take_incident(book, record, policy, now, zone)
    elif record.event == "box_state":
        _take_state(book, record, policy, now, zone)
    elif record.severity <= LEVELS[policy.level]:
        notice = _notice(record, f"record {record.id}", record.message, "/audit/")
        _wait(book, notice, policy, now + INCIDENT_SETTLES, zone)


def due(book: Book, policy: ExportMessages, now: int, zone: tzinfo, box: str) -> Message | None:
    """Return the message that is to be sent now, None if none is."""
    if policy.digest != "off" and not book.digest_at:
        book.digest_at = next_digest(policy, now, zone)
    ripe = [notice for notice in book.waiting if notice.due <= now]
    if ripe and now - book.sent_at >= GAP:
        return _message(book, ripe, policy, zone, box)
    if policy.digest != "off" and book.digest_at <= now:
        return _digest(book, policy, box)
    return None


def sent(book: Book, message: Message, policy: ExportMessages, now: int, zone: tzinfo) -> None:
    """Note that a message was sent."""
    if message.digest:
        book.counts, book.devices = {}, []
        book.digest_at = next_digest(policy, now, zone)
        return
    for notice in book.waiting:
        if notice.key in message.keys:
            _remember(book, notice)
    book.waiting = [notice for notice in book.waiting if notice.key not in message.keys]
    book.unlisted = 0
    book.sent_at = now


def quiet_end(policy: ExportMessages, now: int, zone: tzinfo) -> int | None:
    """Return when the quiet hours end that `now` is in, None if it is in none."""
    if policy.quiet_from is None or policy.quiet_until is None:
        return None
    here = datetime.fromtimestamp(now / SECOND, zone)
    begin, end = time.fromisoformat(policy.quiet_from), time.fromisoformat(policy.quiet_until)
    at = here.time()
    quiet = begin <= at < end if begin <= end else at >= begin or at < end
    if begin == end or not quiet:
        return None
    day = here.date() if at < end else here.date() + timedelta(days=1)
    until = int(datetime.combine(day, end, zone).timestamp() * SECOND)
    return max(until, now + SECOND)  # where clocks are put back the hour comes twice


def next_digest(policy: ExportMessages, now: int, zone: tzinfo) -> int:
    """Return when the next summary is due after `now`."""
    here = datetime.fromtimestamp(now / SECOND, zone)
    day = here.date()
    for ahead in range(9):
        date = day + timedelta(days=ahead)
        if policy.digest == "weekly" and date.weekday() != 0:
            continue
        moment = int(datetime.combine(date, time(policy.digest_hour), zone).timestamp() * SECOND)
        if moment > now:
            return moment
    raise AssertionError("a week has a Monday")


def _take_incident(
    book: Book, record: Record, policy: ExportMessages, now: int, zone: tzinfo
) -> None:
    number = record.fields.get("id", 0)
    key = f"incident {number}"
    became = WHAT_BECAME.get(str(record.fields.get("state")), "")
    notice = _notice(record, key, f"{record.message} {became}".strip(), f"/incidents/{number}")
    for at, waiting in enumerate(book.waiting):
        if waiting.key == key:  # not told yet: it is told as it stands then
            worst = min(waiting.severity, notice.severity)
            when = waiting.due if waiting.severity <= worst else _when(notice, policy, now, zone)
            book.waiting[at] = _with(notice, worst, min(waiting.due, when))
            return
    worse = notice.severity < book.told.get(key, NOTICE + 1)
    if worse and notice.severity <= LEVELS[policy.level]:
        _wait(book, notice, policy, now + INCIDENT_SETTLES, zone)


def _take_state(book: Book, record: Record, policy: ExportMessages, now: int, zone: tzinfo) -> None:
    key = "state"
    waited = any(notice.key == key for notice in book.waiting)
    book.waiting = [notice for notice in book.waiting if notice.key != key]
    bad = record.severity <= BAD_STATE
    good_again = not bad and book.bad_told
    if good_again or (record.severity <= LEVELS[policy.level] and (bad or not waited)):
        notice = _notice(record, key, f"The box: {record.message}.", "/")
        _wait(book, notice, policy, now + STATE_SETTLES, zone)


def _wait(book: Book, notice: Notice, policy: ExportMessages, settled: int, zone: tzinfo) -> None:
    if len(book.waiting) >= WAITING_LIMIT:
        book.unlisted += 1
        return
    book.waiting.append(_with(notice, notice.severity, _when(notice, policy, settled, zone)))


def _when(notice: Notice, policy: ExportMessages, settled: int, zone: tzinfo) -> int:
    """Return when a notice is due that has settled at a time."""
    if notice.severity <= CRITICAL and policy.urgent_at_night:
        return settled
    return quiet_end(policy, settled, zone) or settled


def _remember(book: Book, notice: Notice) -> None:
    if notice.key == "state":
        book.bad_told = notice.severity <= BAD_STATE
        return
    book.told.pop(notice.key, None)
    book.told[notice.key] = notice.severity
    while len(book.told) > TOLD_LIMIT:
        del book.told[next(iter(book.told))]


def _notice(record: Record, key: str, text: str, path: str) -> Notice:
    return Notice(key, record.time, record.severity, clean(text, TEXT_LIMIT), path, 0)


def _with(notice: Notice, severity: int, due: int) -> Notice:
    return Notice(notice.key, notice.time, severity, notice.text, notice.path, due)


def _message(
    book: Book, ripe: list[Notice], policy: ExportMessages, zone: tzinfo, box: str
) -> Message:
    ripe = sorted(ripe, key=lambda notice: (notice.severity, notice.time))
    first, page = ripe[0], policy.page.rstrip("/")
    others = len(ripe) - 1 + book.unlisted
    title = first.text if not others else f"{first.text} And {others} more."
    lines = []
    for notice in ripe[:LISTED]:
        when = datetime.fromtimestamp(notice.time / SECOND, zone)
        lines += [f"{when:%Y-%m-%d %H:%M}  {notice.text}", f"{page}{notice.path}", ""]
    if (rest := len(ripe) - LISTED + book.unlisted) > 0:
        lines += [f"And {rest} more: {page}/incidents/", ""]
    return Message(
        f"{box}: {title}",
        "\n".join(lines),
        page + (first.path if not others else "/incidents/"),
        first.severity,
        tuple(notice.key for notice in ripe),
    )


def _count(book: Book, record: Record) -> None:
    if record.event == "incident_opened":
        kind = "critical" if record.severity <= CRITICAL else "other"
        device = str(record.fields.get("device_name") or record.fields.get("device", ""))
        if device and device not in book.devices and len(book.devices) < DEVICES_LIMIT:
            book.devices.append(clean(device, TEXT_LIMIT))
    elif record.event == "box_state" and record.severity <= ALERT:
        kind = "bypassed"
    elif record.event == "action_taken":
        kind = "actions"
    else:
        return
    book.counts[kind] = book.counts.get(kind, 0) + 1


def _digest(book: Book, policy: ExportMessages, box: str) -> Message:
    count = book.counts.get
    page = policy.page.rstrip("/")
    span = "Since yesterday" if policy.digest == "daily" else "Last week"
    critical, other = count("critical", 0), count("other", 0)
    lines = [
        f"{span}:",
        f"Remote-control servers that a device tried to reach: {critical}",
        f"Other suspicious connections: {other}",
        f"Blocks, allows and other actions: {count('actions', 0)}",
        f"Times that nothing was inspected: {count('bypassed', 0)}",
    ]
    if book.devices:
        more = len(book.devices) - LISTED
        names = ", ".join(book.devices[:LISTED])
        lines.append(f"Devices: {names}" + (f" and {more} more" if more > 0 else ""))
    if not critical + other + count("bypassed", 0):
        lines.append("Nothing that wants a hand.")
    lines += ["", f"{page}/"]
    title = f"{box}: {span.lower()}, {critical + other} incidents"
    return Message(title, "\n".join(lines), f"{page}/", NOTICE, (), digest=True)
