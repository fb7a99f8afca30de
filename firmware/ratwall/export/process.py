"""The exporter: a thread for each receiver, so that one that hangs holds up no other.

It reads the ledger and writes nothing but its own directory. It holds no command socket, no queue
and no lock that anybody waits for: neither inspector nor controller can be delayed by it.
"""

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from ratwall.export.courier import Courier, Receiver
from ratwall.export.cursor import FILE_MODE, Cursor
from ratwall.export.facts import DIRECTORY, FILE_NAME
from ratwall.export.notifier import Notifier, Post, box_zone
from ratwall.export.reader import reading, state_of
from ratwall.export.syslog import SyslogReceiver
from ratwall.export.syslog_message import host_name
from ratwall.export.trial import Trials, Try, of_people, of_programs
from ratwall.export.webhook import WebhookReceiver
from ratwall.ledger.store import FILE_NAME as LEDGER_NAME
from ratwall.replacing import replace_file
from ratwall.settings.export import Export

log = logging.getLogger(__name__)

FACTS_SECONDS: Final = 2.0  # between two looks at whether there is something to write down
FACTS_AT_LEAST_SECONDS: Final = 10.0  # that it is alive is written this often
# A receiver that does not answer is waited for no longer than this at the end: it is told again.
LEAVE_SECONDS: Final = 2.0


class Exporter:
    """All receivers of the settings, each on its way."""

    def __init__(self, state_dir: Path, settings: Export, trials: Trials | None = None) -> None:
        """`trials` is told how to test each receiver."""
        self._directory = state_dir / DIRECTORY
        self._trials = trials
        self._stop = threading.Event()
        self._couriers = {
            name: Courier(
                receiver,
                reading(state_dir / LEDGER_NAME, _wall),
                (cursor := Cursor(self._directory / f"{name}.json")).load(),
                cursor.keep,
                _wall,
            )
            for name, receiver in _receivers(settings, state_dir / LEDGER_NAME)
        }
        if trials is not None:
            trials.tries = _tries(settings, state_dir / LEDGER_NAME)
        self._threads = [
            threading.Thread(target=self._run, args=(courier,), name=name, daemon=True)
            for name, courier in self._couriers.items()
        ]
        self._written = ""
        self._written_at = float("-inf")

    def start(self) -> None:
        """Set out; what was written down of the last journey is not true any more."""
        self.write_facts(time.monotonic())
        for thread in self._threads:
            thread.start()

    def is_whole(self) -> bool:
        """Say whether every thread lives; one that met a fault has told of it on stderr."""
        return all(thread.is_alive() for thread in self._threads)

    def write_facts(self, now: float) -> None:
        """Write down how each receiver fares, if that is news; `now` is monotonic seconds."""
        facts = {name: courier.facts.as_dict() for name, courier in self._couriers.items()}
        tried = {} if self._trials is None else self._trials.results()
        text = json.dumps([facts, tried])
        if text == self._written and now - self._written_at < FACTS_AT_LEAST_SECONDS:
            return
        try:
            document = json.dumps({"at": _wall(), "receivers": facts, "trials": tried})
            path = self._directory / FILE_NAME
            replace_file(path, document, mode=FILE_MODE, durable=False)
        except OSError as error:
            log.warning("%s: cannot be written: %s", self._directory / FILE_NAME, error.strerror)
        self._written, self._written_at = text, now

    def stop(self) -> None:
        """Come back; who hangs is left behind."""
        self._stop.set()
        deadline = time.monotonic() + LEAVE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self, courier: Courier) -> None:
        wait = 0.0
        told = None
        while not self._stop.wait(wait):
            wait = courier.turn(time.monotonic())
            error = courier.facts.error
            if error != told and error is not None:
                log.warning("%s: %s", threading.current_thread().name, error)
            told = error
        courier.close()


def _receivers(settings: Export, ledger: Path) -> Iterator[tuple[str, Receiver]]:
    for name, make in _programs(settings, ledger).items():
        yield name, make()
    host, zone = host_name(socket.gethostname()), box_zone()
    for name, post in _posts(settings).items():
        book = ledger.parent / DIRECTORY / f"{name}.book.json"
        yield name, Notifier(post, settings.messages, book, host, _wall, zone)


def _tries(settings: Export, ledger: Path) -> dict[str, Try]:
    host, page = host_name(socket.gethostname()), settings.messages.page.rstrip("/")
    programs = _programs(settings, ledger).items()
    people = _posts(settings).items()
    return {name: of_programs(make, _wall) for name, make in programs} | {
        name: of_people(post, host, page) for name, post in people
    }


def _programs(settings: Export, ledger: Path) -> dict[str, Callable[[], Receiver]]:
    """Return how to make each receiver that is a program."""
    host = host_name(socket.gethostname())
    makers: dict[str, Callable[[], Receiver]] = {}
    if settings.syslog.server is not None:
        makers["syslog"] = lambda: SyslogReceiver(settings.syslog, host)
    if settings.webhook.url is not None:
        makers["webhook"] = lambda: WebhookReceiver(settings.webhook, host, _wall)
    if settings.mqtt.server is not None:
        makers["mqtt"] = lambda: _mqtt(settings, host, ledger)
    return makers


def _mqtt(settings: Export, host: str, ledger: Path) -> Receiver:
    # Here, because who has no broker need not carry its library: half a second and 10 MB.
    from ratwall.export.mqtt import MqttReceiver

    return MqttReceiver(settings.mqtt, host, lambda: state_of(ledger))


def _posts(settings: Export) -> dict[str, Post]:
    """Return each way to people; likewise, mail's library is for who has a mail server."""
    posts: dict[str, Post] = {}
    if settings.mail.server is not None:
        from ratwall.export.mail import MailPost

        posts["mail"] = MailPost(settings.mail, host_name(socket.gethostname()), _wall)
    if settings.push.url is not None:
        from ratwall.export.push import PushPost

        posts["push"] = PushPost(settings.push)
    return posts


def _wall() -> int:
    return time.time_ns() // 1000


def serve(
    state_dir: Path,
    settings: Callable[[], Export],
    wake: threading.Event,
    hangups: list[int],
    stop: list[int],
    beat: Callable[[float], None],
    ready: Callable[[], None],
) -> bool:
    """Run until `stop` has an entry; False after a fault.

    One in `hangups` has the settings read again; `wake` is set by whoever adds to either.
    """
    trials = Trials(state_dir / DIRECTORY, _wall, wake.set)
    exporter = Exporter(state_dir, settings(), trials)
    exporter.start()
    trials.start()
    ready()
    while not stop:
        wake.wait(FACTS_SECONDS)
        wake.clear()
        if hangups:
            hangups.clear()
            exporter.stop()
            exporter = Exporter(state_dir, settings(), trials)
            exporter.start()
            ready()
        if not exporter.is_whole():
            return False
        now = time.monotonic()
        exporter.write_facts(now)
        beat(now)
    exporter.stop()
    return True
