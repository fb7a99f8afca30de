"""The whole service as it is put together: what is heard in one life goes on in the next."""

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from scapy.layers.inet import IP, TCP

from ratwall.controller.contacts import WRITE_US
from ratwall.controller.service import Service
from ratwall.controller.wiring import wire
from ratwall.kernel.conntrack import FlowEvent
from ratwall.kernel.marks import FlowClass
from ratwall.kernel.nflog import Copy
from ratwall.ledger import contacts, queries
from ratwall.ledger.store import open_ledger
from ratwall.settings.schema import Settings
from unit.controller.box import CLIENT, NOON, SERVER, FakeSets, FakeWatch
from unit.controller.test_hearing import MESSAGE_US, PERIOD, record
from unit.controller.test_observation import ENDS, Kernel, flow_report


class Life:
    """One life of the controller, with the kernel and the ledger that outlive it."""

    def __init__(self, kernel: Kernel, watch: FakeWatch, path: Path) -> None:
        self.kernel = kernel
        self.service = Service(
            Settings(),
            enforce=True,
            open_ledger=lambda: open_ledger(path),
            sets=FakeSets(),
            watch=watch,
            never_block=frozenset(),
            neighbour=lambda address: None,
            clock=lambda: kernel.now,
        )
        wire(self.service, copies=kernel, answers=Kernel(), classes=kernel, table=kernel.dump)
        self.service.start()

    def hello(self) -> None:
        told = flow_report(**{"class": "observed", "sni": None, "verdict": "clean", "score": 0})
        told = replace(told, evidence=(), certificate=None, family=None, start=self.kernel.now)
        self.service.take_report(replace(told, tls_version="TLS 1.3"))

    def beat(self, number: int) -> None:
        """Ping, and answer the server's answer."""
        for step, payload in enumerate((record(21), record(69), record(21) + record(40))):
            at = 1000 + number * 171 + (0, 26, 100)[step]
            segment = IP(src=ENDS[0], dst=ENDS[2]) / TCP(
                sport=ENDS[1], dport=ENDS[3], seq=at, flags="PA"
            )
            self.kernel.copies = [Copy(self.kernel.now, bytes(segment / payload)[:96])]
            assert self.service.observation is not None
            self.service.observation.take_copies()
            self.kernel.now += MESSAGE_US
        self.kernel.now += PERIOD - 3 * MESSAGE_US
        self.service.tick()
        assert self.service.flush()


def test_a_rhythm_and_what_is_known_of_contacts_go_on_over_a_restart(tmp_path: Path) -> None:
    kernel, watch, path = Kernel(), FakeWatch(), tmp_path / "ledger.sqlite3"
    kernel.classes[ENDS] = FlowClass.OBSERVED
    runs = FlowEvent(
        False, ip_address(CLIENT), ENDS[1], ip_address(SERVER), ENDS[3], FlowClass.OBSERVED, 9, 9
    )
    watch.table = [runs]
    first = Life(kernel, watch, path)
    first.hello()
    for number in range(2):
        first.beat(number)
    assert first.service.contacts is not None
    assert first.service.contacts.facts() == {"waiting": 0, "left_out": 0}
    first.service.stop()

    second = Life(kernel, watch, path)
    with open_ledger(path, read_only=True) as ledger:
        (contact,) = contacts.listing(ledger, now=NOON + WRITE_US)
        assert (contact["server"], contact["handshakes"]) == (SERVER, 1)
    for number in range(2, 4):
        second.beat(number)
    with open_ledger(path, read_only=True) as ledger:
        (incident,) = queries.incidents(ledger)
        facts = {fact["id"] for fact in incident["evidence"]}
    assert {"rhythm.stock", "rhythm.no-name", "rhythm.shape"} <= facts
    second.service.stop()
    watch.close()
