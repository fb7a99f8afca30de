"""A name server of the lab's internet, and the question a device asks it.

It answers from a table, over UDP and TCP, with dnspython making the messages; over UDP what is
longer than the asker can take is cut short, as a real one does. It knows no zones and no recursion.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset

from ratwall_lab.namespaces import Host

DNS_PORT = 53
TIME_TO_LIVE = 60
DATAGRAM = 65_535
CLASSIC_LIMIT = 512  # bytes of an answer over UDP without EDNS (RFC 1035 section 4.2.1)
ASK_SECONDS = 5.0
TURN_SECONDS = 0.05

Table = Mapping[str, tuple[str, ...]]  # name → addresses, or one other name


class NameServer:
    """A server in a namespace; a context manager, up on entry."""

    def __init__(self, host: Host, address: str, table: Table) -> None:
        self.table = dict(table)
        self.asked = 0
        self._host = host
        self._address = address
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="lab name server")

    def __enter__(self) -> Self:
        family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        with self._host.enter():
            self._udp = socket.socket(family, socket.SOCK_DGRAM)
            self._udp.bind((self._address, DNS_PORT))
            self._tcp = socket.create_server((self._address, DNS_PORT), family=family)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._thread.join()
        self._udp.close()
        self._tcp.close()

    def say(self, message: bytes, to: tuple[str, int]) -> None:
        """Send something that nobody asked for from the name server's own port."""
        self._udp.sendto(message, to)

    def reply(self, query: dns.message.Message) -> dns.message.Message:
        """Return the answer to a question."""
        self.asked += 1
        reply = dns.message.make_response(query)
        question = query.question[0]
        name = question.name.to_text().rstrip(".").lower()
        if name not in self.table:
            reply.set_rcode(dns.rcode.NXDOMAIN)
            return reply
        owner = question.name
        entries = self.table[name]
        while len(entries) == 1 and entries[0] in self.table:
            target = dns.name.from_text(entries[0])
            reply.answer.append(
                dns.rrset.from_text(owner, TIME_TO_LIVE, "IN", "CNAME", target.to_text())
            )
            owner, entries = target, self.table[entries[0]]
        wanted = [one for one in entries if (":" in one) == (question.rdtype == dns.rdatatype.AAAA)]
        if wanted:
            kind = dns.rdatatype.to_text(question.rdtype)
            reply.answer.append(dns.rrset.from_text(owner, TIME_TO_LIVE, "IN", kind, *wanted))
        return reply

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._udp, selectors.EVENT_READ)
            selector.register(self._tcp, selectors.EVENT_READ)
            while not self._stopping.is_set():
                for key, _ in selector.select(TURN_SECONDS):
                    if key.fileobj is self._udp:
                        self._answer_datagram()
                    else:
                        self._answer_connection()

    def _answer_datagram(self) -> None:
        data, asker = self._udp.recvfrom(DATAGRAM)
        query = dns.message.from_wire(data)
        wire = self.reply(query).to_wire(max_size=DATAGRAM)
        if len(wire) > max(CLASSIC_LIMIT, query.payload):
            short = dns.message.make_response(query)
            short.flags |= dns.flags.TC
            wire = short.to_wire()
        self._udp.sendto(wire, asker)

    def _answer_connection(self) -> None:
        connection, _ = self._tcp.accept()
        with connection:
            connection.settimeout(ASK_SECONDS)
            query, _ = dns.query.receive_tcp(connection)
            dns.query.send_tcp(connection, self.reply(query))


def ask(host: Host, server: str, name: str, kind: str = "A") -> list[str]:
    """Have a device ask for a name, over TCP where UDP is too short; return the addresses."""
    query = dns.message.make_query(name, kind)
    with host.enter():
        reply, _ = dns.query.udp_with_fallback(query, server, timeout=ASK_SECONDS)
    return [
        item.address
        for rrset in reply.answer
        if rrset.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA)
        for item in rrset
    ]
