"""How a connection begins: with TLS, with cleartext that may turn into TLS, or in its middle.

Takes the in-order bytes of both directions and returns those that belong to TLS. It never waits for
long: a connection that has shown neither a hello nor record headers within SEARCH_SEGMENTS segments
or SEARCH_BYTES of a direction is PLAIN, and so is at once what says it is no TLS: an HTTP request,
a greeting of SSH.

What the cleartext was is told by its first bytes only, for the report: whoever makes up a dialogue
of his own gets his TLS found just the same.
"""

from enum import Enum, StrEnum

from ratwall.flow.preamble import Preamble
from ratwall.flow.resync import SEARCH_BYTES, RecordSearch
from ratwall.wire.tls.record import looks_like_record

# Segments of both directions. STARTTLS takes six, SOCKS with a password eight, two whole records
# without offloading twenty-six; more only buys time from a client that talks byte by byte.
SEARCH_SEGMENTS = 256
_FIRST_BYTES = 8  # kept of each direction: enough to know the dialogues below

# A space behind: a method is a whole word (RFC 9110 section 9.1, PRI opens HTTP/2 in clear).
_PLAIN_REQUESTS = tuple(
    method + b" "
    for method in (
        *(b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"),
        *(b"PATCH", b"TRACE", b"PRI"),
    )
)
_PLAIN_GREETING = b"SSH-"  # both sides say it
_PLAIN_ANSWER = b"HTTP/"
_CONNECT = b"CONNECT "
_PROXY = b"PROXY "  # the line that a load balancer puts before what it passes on
_REQUESTS = (_CONNECT, _PROXY, *_PLAIN_REQUESTS)
_SOCKS4, _SOCKS5 = 4, 5


class Outcome(Enum):
    """What the beginning has turned out to be."""

    SEARCHING = "searching"
    TLS = "tls"
    PICKED_UP = "picked up"  # TLS, but its handshake was before our time
    PLAIN = "plain"


class Dialogue(StrEnum):
    """What stood before TLS, as far as its first bytes tell."""

    CONNECT = "HTTP CONNECT"
    SOCKS4 = "SOCKS4"
    SOCKS5 = "SOCKS5"
    SMTP = "SMTP STARTTLS"
    IMAP = "IMAP STARTTLS"
    POP3 = "POP3 STLS"
    FTP = "FTP AUTH TLS"
    OPENVPN = "OpenVPN"
    OTHER = "cleartext"


# Behind these the far end of the connection is a proxy: the TLS is that of somebody else.
PROXIED = frozenset({Dialogue.CONNECT, Dialogue.SOCKS4, Dialogue.SOCKS5})


def begins_connection(payload: bytes) -> bool:
    """Say whether a client's segment can be the first of its stream, as far as bytes can tell."""
    return looks_like_record(payload) or payload.startswith(_REQUESTS)


class Opening:
    """The beginning of one connection; `outcome` and, with TLS, `dialogue` say how it went."""

    __slots__ = ("_first", "_greeted", "_preambles", "_searches", "_segments", "outcome")

    def __init__(self, greeting: bytes = b"") -> None:
        """`greeting`: what the server has said in cleartext, not to be taken any more."""
        self._greeted = bool(greeting)
        self.outcome = Outcome.SEARCHING
        self._preambles = {True: Preamble(from_client=True), False: Preamble(from_client=False)}
        self._searches = {True: RecordSearch(), False: RecordSearch()}
        self._first = {True: b"", False: greeting[:_FIRST_BYTES]}
        self._segments = 0

    @property
    def held(self) -> int:
        """Bytes kept back in both directions."""
        return self._preambles[True].held + self._preambles[False].held

    @property
    def dialogue(self) -> Dialogue | None:
        """What stood before TLS; None when it was the first thing said."""
        if self.outcome is not Outcome.TLS or not self._spoken:
            return None
        if self._preambles[True].tunnelled:
            return Dialogue.OPENVPN
        return _dialogue(self._first[True], self._first[False])

    @property
    def _spoken(self) -> bool:
        return self._greeted or self._preambles[True].passed + self._preambles[False].passed > 0

    def take(self, from_client: bool, data: bytes) -> bytes:
        """Return what of a direction's next bytes belongs to TLS, possibly nothing."""
        preamble = self._preambles[from_client]
        tls = data if preamble.over else preamble.strip(data)
        if self.outcome is not Outcome.SEARCHING:
            return tls
        self._first[from_client] = (self._first[from_client] + data)[:_FIRST_BYTES]
        if tls:
            self.outcome = Outcome.TLS
            if not self._spoken:
                # A server that was spoken to in TLS from the first byte answers so, or not at all.
                self._preambles[not from_client].over = True
            return tls
        self._segments += 1
        search = self._searches[from_client]
        # What a tunnel carries in pieces is no stream of records, nor begun before our time.
        if search.feed(data) and not self._preambles[from_client].tunnelled:
            self.outcome = Outcome.PICKED_UP
        elif (
            search.searched >= SEARCH_BYTES or self._segments >= SEARCH_SEGMENTS or self._is_plain()
        ):
            self.outcome = Outcome.PLAIN
        return b""

    def _is_plain(self) -> bool:
        """Say whether the first bytes rule TLS out.

        At once: an answer that comes in a burst would all be queued before its own verdict.
        """
        client, server = self._first[True], self._first[False]
        if client.startswith(_PLAIN_REQUESTS) or server.startswith(_PLAIN_GREETING):
            return True
        return server.startswith(_PLAIN_ANSWER) and not client.startswith(_CONNECT)


def _dialogue(client: bytes, server: bytes) -> Dialogue:
    if client.startswith(_CONNECT):
        return Dialogue.CONNECT
    if client[:1] == bytes((_SOCKS4,)) and client[1:2] in (b"\1", b"\2"):
        return Dialogue.SOCKS4
    if client[:1] == bytes((_SOCKS5,)) and server[:1] == bytes((_SOCKS5,)):
        return Dialogue.SOCKS5
    word = client[:4].upper()
    if server.startswith(b"220"):
        return Dialogue.FTP if word in (b"AUTH", b"FEAT", b"USER") else Dialogue.SMTP
    if server.startswith(b"* "):
        return Dialogue.IMAP
    if server.startswith(b"+OK"):
        return Dialogue.POP3
    return Dialogue.OTHER
