# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The fast path: the plain course of a TLS connection, walked in C from the queue to the verdict.

It knows one story only: a client's hello in order, a server's answer in order, its certificate or
TLS 1.3, and the client's next message. It forms no opinion: as soon as the answer shows what can be
judged, it asks (`judge`), and until then every verdict is "go on". Whatever is not that story, be
it one odd bit, it leaves to the slow path, with the connection as it was so far: that is the whole
inspector in Python, which decides what is right. So the two need not be equally clever, only never
disagree, and a test holds them to that.

Without a compiler this module is not there, and every packet takes the slow path.
"""

import logging
from collections import OrderedDict

from cpython.exc cimport PyErr_CheckSignals
from cpython.bytes cimport PyBytes_FromStringAndSize, PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, EINTR, ENOBUFS, errno
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

cdef extern from "<sys/socket.h>" nogil:
    ssize_t recv(int descriptor, void *buffer, size_t length, int flags)
    ssize_t send(int descriptor, const void *buffer, size_t length, int flags)
    int MSG_DONTWAIT, MSG_NOSIGNAL

cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    int poll(pollfd *watched, unsigned long count, int milliseconds)
    short POLLIN

cdef extern from "<time.h>" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec *now)
    int CLOCK_MONOTONIC, CLOCK_REALTIME

cdef extern from "<arpa/inet.h>" nogil:
    uint32_t htonl(uint32_t value)
    uint16_t htons(uint16_t value)

log = logging.getLogger(__name__)

# What `offer` returns for a packet that the slow path must decide; otherwise a class.
SLOW = -1
cdef int _SLOW = -1

# What an answer shows so far.
cdef enum:
    ODD = -1
    WAIT = 0
    SHOWN = 1

# The numbers of ratwall.wire and ratwall.inspector.tracked, with their reasons there; a test holds
# the two texts together by what they decide.
cdef enum:
    NONE = 0  # FlowClass
    WATCH = 2
    EXEMPT = 5
    HANDSHAKE = 22  # ContentType
    MAJOR = 3
    LAST_MINOR = 4
    RECORD_HEADER = 5
    RECORD_LIMIT = 18432
    LEAF_LIMIT = 65536
    CLIENT_HELLO = 1  # HandshakeType
    SERVER_HELLO = 2
    CERTIFICATE = 11
    SERVER_KEY_EXCHANGE = 12
    CERTIFICATE_REQUEST = 13
    SERVER_HELLO_DONE = 14
    CERTIFICATE_STATUS = 22
    PRE_SHARED_KEY = 41  # ExtensionType
    SUPPORTED_VERSIONS = 43
    KEY_SHARE = 51
    TICKET = 35
    PADDING = 21
    TLS_1_2 = 0x0303
    TLS_1_3 = 0x0304
    SSL_3_0 = 0x0300
    FIN = 1
    SYN = 2
    RST = 4
    ACK = 16
    URG = 32

cdef int64_t IDLE_US = 60000000
cdef int64_t BURST_US = 200000

# Being walked at one time. A connection is here for half a second; beyond, the oldest goes on in
# the slow path, which has the larger table, and counts what must leave that one.
CAPACITY = 1024
cdef int _CAPACITY = 1024
# Bytes of all of them together, for the same reason as the slow path has a limit.
cdef long HELD_LIMIT = 4 * 1024 * 1024
# Datagrams of one connection. A flight has ten at most; who sends more is for the slow path.
cdef int DATAGRAMS = 64

cdef bytes HELLO_RETRY_RANDOM = bytes.fromhex(
    "cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c"
)


cdef inline int64_t clock_us(int clock) noexcept nogil:
    cdef timespec now
    clock_gettime(clock, &now)
    return <int64_t>now.tv_sec * 1000000 + now.tv_nsec // 1000


cdef inline uint32_t u16(const uint8_t *p) noexcept nogil:
    return <uint32_t>p[0] << 8 | p[1]


cdef inline uint32_t u24(const uint8_t *p) noexcept nogil:
    return <uint32_t>p[0] << 16 | <uint32_t>p[1] << 8 | p[2]


cdef inline uint32_t u32(const uint8_t *p) noexcept nogil:
    return <uint32_t>p[0] << 24 | <uint32_t>p[1] << 16 | <uint32_t>p[2] << 8 | p[3]


cdef uint64_t word_sum(const uint8_t *p, Py_ssize_t length) noexcept nogil:
    """Sum whose remainder by 65535 is that of the 16-bit words, in this machine's byte order.

    32-bit words do as well: 2**16 leaves 1 when divided by 65535 (RFC 1071 §2).
    """
    cdef uint64_t total = 0
    cdef uint32_t word
    cdef uint16_t half
    while length >= 4:
        memcpy(&word, p, 4)
        total += word
        p += 4
        length -= 4
    if length >= 2:
        memcpy(&half, p, 2)
        total += half
        p += 2
        length -= 2
    if length:
        half = 0
        memcpy(&half, p, 1)
        total += half
    return total


# A likeness of more bytes is not made: a hello has up to 2 KB, a leaf as many. What is larger is
# rare, and judged each time.
LIKENESS_LIMIT = 8192
cdef enum:
    ROOM = 8192


cdef struct Likeness:
    Py_ssize_t length  # ROOM + 1 once there was too much
    uint8_t text[ROOM]


cdef int _add(Likeness *made, const uint8_t *data, Py_ssize_t length) noexcept nogil:
    if made.length + length > ROOM:
        made.length = ROOM + 1
        return 0
    memcpy(made.text + made.length, data, length)
    made.length += length
    return 0


cdef int _add_number(Likeness *made, uint32_t number) noexcept nogil:
    return _add(made, <const uint8_t *>&number, 4)


cdef bint _add_hello(
    Likeness *made, const uint8_t *b, Py_ssize_t at, Py_ssize_t end, bint from_client
) noexcept nogil:
    """Add what a hello says to a likeness; False if it says something out of order."""
    cdef Py_ssize_t size, front = made.length
    cdef uint32_t kind
    cdef uint8_t nothing[2]
    nothing[0] = nothing[1] = 0
    _add_number(made, 0)  # its length, when it is known
    if end - at < 38:
        return False
    if from_client:
        _add(made, b + 1, 2)  # the record's version
    _add(made, b + at, 2)
    at += 34
    at += 1 + b[at]
    if from_client:
        if at + 2 > end or at + 2 + u16(b + at) >= end:
            return False
        size = 2 + u16(b + at)
        size += 1 + b[at + size]
    else:
        size = 3
    if at + size > end:
        return False
    _add(made, b + at, size)  # cipher suites and compression
    at += size
    if at < end:
        if at + 2 > end or at + 2 + u16(b + at) != end:
            return False
        at += 2
    while at < end:
        if at + 4 > end:
            return False
        kind = u16(b + at)
        size = 4 + u16(b + at + 2)
        if at + size > end:
            return False
        if kind == KEY_SHARE or kind == TICKET or kind == PRE_SHARED_KEY or kind == PADDING:
            _add(made, b + at, 2)
            _add(made, nothing, 2)
        else:
            _add(made, b + at, size)
        at += size
    if made.length > ROOM:
        return False
    kind = <uint32_t>(made.length - front)
    memcpy(made.text + front, &kind, 4)
    return True


cdef class Seen:
    """A connection on the fast path, as far as it has come; addresses packed, network order."""

    cdef readonly bytes key, device, server
    cdef readonly int device_port, server_port
    cdef readonly list datagrams  # (from the client?, IP datagram), in order; the slow path's start
    cdef list payloads  # of the same, where each begins
    cdef readonly bytes hello  # the client's record, whole
    cdef readonly bytes server_hello  # body of the message
    cdef readonly bytes leaf  # DER, None where TLS 1.3 hides it
    cdef readonly int chain  # certificates whose length was seen
    cdef readonly bint resumed
    cdef readonly int judged  # the class it will get, -1 before it is judged
    cdef readonly int final  # the class it got
    cdef readonly long long first_seen, last_seen  # UTC microseconds
    cdef readonly bint settled  # the kernel has saved a class on its conntrack entry
    cdef readonly bytes hardware_address
    cdef uint32_t client_next, server_next
    cdef readonly uint32_t judged_at  # sequence number; all that the server had said by then
    cdef Py_ssize_t wanted, have, held

    @property
    def likeness(self):
        """All of both hellos and the leaf that an opinion or a record can be made from, as bytes.

        Left out is what a client or a server makes up anew each time: the random numbers, session
        ids, and the content (never the presence) of key shares, tickets and padding. None where the
        hello cannot be read to its end, or it is too much to keep.
        """
        cdef Likeness made
        made.length = 0
        if self._write_likeness(&made):
            return PyBytes_FromStringAndSize(<const char *>made.text, made.length)
        return None

    cdef bint _write_likeness(self, Likeness *made):
        """Write the likeness; every part behind its length, so that no two read the same."""
        cdef const uint8_t *hello = <const uint8_t *>PyBytes_AS_STRING(self.hello)
        cdef const uint8_t *answer = <const uint8_t *>PyBytes_AS_STRING(self.server_hello)
        if not _add_hello(made, hello, RECORD_HEADER + 4, n_bytes(self.hello), True):
            return False
        if not _add_hello(made, answer, 0, n_bytes(self.server_hello), False):
            return False
        _add_number(made, <uint32_t>self.resumed)
        _add_number(made, <uint32_t>n_bytes(self.server))
        _add(made, <const uint8_t *>PyBytes_AS_STRING(self.server), n_bytes(self.server))
        _add_number(made, <uint32_t>self.server_port)
        _add_number(made, <uint32_t>self.chain)
        if self.leaf is not None:
            _add(made, <const uint8_t *>PyBytes_AS_STRING(self.leaf), n_bytes(self.leaf))
        return made.length <= ROOM

    cdef bytes _joined(self, bint from_client, bytes last, Py_ssize_t at):
        """The payload of one side so far, with one more datagram's."""
        cdef bytes datagram
        parts = []
        for index in range(len(self.datagrams)):
            side, datagram = self.datagrams[index]
            if side == from_client:
                parts.append(datagram[self.payloads[index]:])
        parts.append(last[at:])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    cdef int _read_answer(self, bytes answer):
        """Look for what can be judged; `ODD` where only the slow path knows what it means."""
        cdef const uint8_t *a = <const uint8_t *>PyBytes_AS_STRING(answer)
        cdef Py_ssize_t end = PyBytes_GET_SIZE(answer), at = 0, stop, record, m, body
        cdef Py_ssize_t length, rest, entry, q
        cdef int kind, chain = 0
        cdef bint greeted = False, shown = False, alone = False
        while at < end:
            if end - at < RECORD_HEADER or a[at] != HANDSHAKE or a[at + 1] != MAJOR:
                return ODD
            length = u16(a + at + 3)
            if a[at + 2] > LAST_MINOR or length > RECORD_LIMIT or length == 0:
                return ODD
            record = at + RECORD_HEADER + length
            stop = record if record < end else end
            m = at + RECORD_HEADER
            while m < stop:
                if stop - m < 4:
                    if stop == record:
                        return ODD
                    break
                kind = a[m]
                length = u24(a + m + 1)
                body = m + 4
                if body + length > record:
                    return ODD
                if kind == SERVER_HELLO and not greeted:
                    if body + length > stop:
                        return WAIT
                    kind = self._read_hello(answer, body, length)
                    if kind != WAIT:
                        return kind
                    greeted = True
                elif kind == CERTIFICATE and greeted and not shown:
                    shown = True
                    if length < 3:
                        return ODD
                    if body + 3 > stop:
                        break
                    rest = u24(a + body)
                    if rest != length - 3 or rest == 0:
                        return ODD
                    q = body + 3
                    while rest:
                        if rest < 3:
                            return ODD
                        if q + 3 > stop:
                            break
                        entry = u24(a + q)
                        q += 3
                        rest -= 3 + entry
                        if rest < 0:
                            return ODD
                        if chain == 0:
                            if entry == 0 or entry > LEAF_LIMIT:
                                return ODD
                            if q + entry > stop:
                                break
                            alone = rest == 0
                            self.leaf = answer[q:q + entry]
                        chain += 1
                        q += entry
                elif not (
                    shown
                    and (
                        kind == SERVER_KEY_EXCHANGE
                        or kind == CERTIFICATE_REQUEST
                        or kind == SERVER_HELLO_DONE
                        or kind == CERTIFICATE_STATUS
                    )
                ):
                    return ODD
                m = body + length
            at = record
        if chain == 0:
            return WAIT
        self.chain = 2 if chain == 1 and not alone else chain
        return SHOWN

    cdef int _read_hello(self, bytes answer, Py_ssize_t start, Py_ssize_t length):
        """Read a ServerHello that is whole; `WAIT` if a certificate is to follow."""
        cdef const uint8_t *b = <const uint8_t *>PyBytes_AS_STRING(answer) + start
        cdef const uint8_t *retry = <const uint8_t *>PyBytes_AS_STRING(HELLO_RETRY_RANDOM)
        cdef Py_ssize_t at = 35
        cdef uint32_t version, kind, size
        cdef bint versioned = False
        if length < 38:
            return ODD
        version = u16(b)
        if version < SSL_3_0 or version > TLS_1_2 or memcmp(b + 2, retry, 32) == 0 or b[34] > 32:
            return ODD
        at += b[34] + 3
        if at > length:
            return ODD
        self.resumed = False
        if at < length:
            if at + 2 > length or at + 2 + u16(b + at) != length:
                return ODD
            at += 2
            while at < length:
                if at + 4 > length:
                    return ODD
                kind = u16(b + at)
                size = u16(b + at + 2)
                at += 4
                if at + size > length:
                    return ODD
                if kind == SUPPORTED_VERSIONS:
                    if versioned or size != 2:
                        return ODD
                    versioned = True
                    version = u16(b + at)
                elif kind == PRE_SHARED_KEY:
                    self.resumed = True
                at += size
        self.server_hello = PyBytes_FromStringAndSize(<const char *>b, length)
        if version == TLS_1_3:
            return SHOWN
        self.resumed = False
        return WAIT if SSL_3_0 <= version <= TLS_1_2 else ODD


cdef class FastPath:
    """The connections on it; `offer` it each packet before the slow path."""

    cdef public bint enforce
    cdef public object watched  # devices of which nothing is taken for a repetition; packed
    cdef readonly long taken  # packets decided here
    cdef readonly list repeated  # connections like one before, until `take_repeated`
    cdef object _entries, _known, _judge, _spill, _clock, _repeats, _doubtful
    cdef uint32_t _lan, _class_mask, _verdict_mask
    cdef int _shift
    cdef long _held

    def __init__(
        self, *, lan, to_inspect, class_mask, shift, enforce, known, judge, spill, clock, repeats,
        doubtful,
    ):
        """Take the marks and what to ask of the slow path.

        `known` holds the keys of its connections. `judge(seen)`: a class, or SLOW where it will
        not be this path that decides. `spill(seen)`: take it over. `clock()`: UTC microseconds;
        without one the machine's is read.
        `repeats`: by likeness, in the order of use, the class and the report of connections judged
        before. `doubtful` holds the servers, packed, that are judged each time.
        """
        self._entries = OrderedDict()
        self._lan, self._class_mask, self._shift = lan, class_mask, shift
        self._verdict_mask = ~(<uint32_t>to_inspect | <uint32_t>class_mask)
        self.enforce = enforce
        self._known, self._judge, self._spill, self._clock = known, judge, spill, clock
        self._repeats, self._doubtful = repeats, doubtful
        self.watched = frozenset()
        self.repeated = []

    def __len__(self):
        return len(self._entries)

    def offer(self, bytes datagram, uint32_t mark, hardware_address):
        """Return the class to give to a packet, or SLOW; `hardware_address()` as it was queued."""
        cdef int decided = self._offer(
            <const uint8_t *>PyBytes_AS_STRING(datagram), PyBytes_GET_SIZE(datagram), mark, NULL,
            hardware_address,
        )
        return decided

    def take_repeated(self):
        """Return the report, device, its port, hardware address and start of what was repeated."""
        repeated, self.repeated = self.repeated, []
        return repeated

    cdef int _judged(self, Seen seen) except -2:
        """Give a connection the class of one that it is like, else have it judged."""
        cdef Likeness made
        cdef bytes likeness
        made.length = 0
        if (
            seen.server not in self._doubtful
            and seen.device not in self.watched
            and seen._write_likeness(&made)
        ):
            likeness = PyBytes_FromStringAndSize(<const char *>made.text, made.length)
            repeat = self._repeats.get(likeness)
            if repeat is not None:
                self._repeats.move_to_end(likeness)
                self.repeated.append((
                    repeat[1], seen.device, seen.device_port, seen.hardware_address,
                    seen.first_seen,
                ))
                return repeat[0]
        return self._judge(seen)

    def leave(self, bytes key):
        """Take a connection off this path; None if it was not on it."""
        cdef Seen seen = self._entries.pop(key, None)
        if seen is not None:
            self._held -= seen.held
        return seen

    cdef int _offer(
        self, const uint8_t *p, Py_ssize_t n, uint32_t mark, const uint8_t *address, ask
    ) except -2:
        cdef const uint8_t *source
        cdef const uint8_t *target
        cdef const uint8_t *t
        cdef Py_ssize_t size, offset, header
        cdef uint64_t total
        cdef uint8_t one[18]
        cdef uint8_t other[18]
        cdef uint8_t joined[36]
        cdef int flow_class = (mark & self._class_mask) >> self._shift
        cdef bint from_client = mark & self._lan != 0
        cdef int decided
        if flow_class != NONE and flow_class != WATCH:
            return _SLOW
        if n >= 40 and p[0] == 0x45:
            if u16(p + 2) != n or u16(p + 6) & 0x3FFF or p[9] != 6 or word_sum(p, 20) % 65535:
                return _SLOW
            source, target, size, offset = p + 12, p + 16, 4, 20
        elif n >= 60 and p[0] >> 4 == 6:
            if u16(p + 4) != n - 40 or p[6] != 6:
                return _SLOW
            source, target, size, offset = p + 8, p + 24, 16, 40
        else:
            return _SLOW
        t = p + offset
        header = (t[12] >> 4) * 4
        if header < 20 or offset + header >= n:
            return _SLOW
        if t[13] & (FIN | SYN | RST | URG) or not t[13] & ACK:
            return _SLOW
        total = word_sum(t, n - offset) + word_sum(source, 2 * size)
        total += htons(6) + htons(<uint16_t>(n - offset))
        if total % 65535:
            return _SLOW
        memcpy(one, source, size)
        memcpy(one + size, t, 2)
        memcpy(other, target, size)
        memcpy(other + size, t + 2, 2)
        if memcmp(one, other, size + 2) < 0:
            memcpy(joined, one, size + 2)
            memcpy(joined + size + 2, other, size + 2)
        else:
            memcpy(joined, other, size + 2)
            memcpy(joined + size + 2, one, size + 2)
        key = PyBytes_FromStringAndSize(<char *>joined, 2 * (size + 2))
        cdef Seen seen = self._entries.get(key)
        cdef int64_t now = clock_us(CLOCK_REALTIME) if self._clock is None else self._clock()
        if seen is not None and flow_class == NONE:
            # The same two ports again, as the slow path tells it (`Tracked.is_over`).
            if seen.settled or now - seen.last_seen > (IDLE_US if seen.final < 0 else BURST_US):
                self.leave(key)
                seen = None
        if seen is None:
            if not from_client or flow_class != NONE or key in self._known:
                return _SLOW
            decided = self._begin(key, p, n, offset, header, size, address, ask, now)
        else:
            decided = self._go_on(seen, p, n, offset, header, from_client, now)
            if decided != _SLOW:
                seen.last_seen = now
                seen.settled = seen.settled or flow_class != NONE
                self._entries.move_to_end(key)
        if decided != _SLOW:
            self.taken += 1
        return decided

    cdef int _begin(
        self, bytes key, const uint8_t *p, Py_ssize_t n, Py_ssize_t offset, Py_ssize_t header,
        Py_ssize_t size, const uint8_t *address, ask, int64_t now,
    ) except -2:
        cdef const uint8_t *t = p + offset
        cdef const uint8_t *payload = t + header
        cdef Py_ssize_t length = n - offset - header
        cdef Seen seen
        if length < 9 or payload[0] != HANDSHAKE or payload[1] != MAJOR or payload[2] > LAST_MINOR:
            return _SLOW
        if payload[5] != CLIENT_HELLO or u16(payload + 3) > RECORD_LIMIT:
            return _SLOW
        if u24(payload + 6) + 4 != u16(payload + 3) or length > RECORD_HEADER + u16(payload + 3):
            return _SLOW
        seen = Seen.__new__(Seen)
        seen.key = key
        seen.device = PyBytes_FromStringAndSize(<const char *>(t - 2 * size), size)
        seen.server = PyBytes_FromStringAndSize(<const char *>(t - size), size)
        seen.device_port, seen.server_port = u16(t), u16(t + 2)
        seen.datagrams, seen.payloads = [], []
        seen.judged = seen.final = -1
        seen.first_seen = seen.last_seen = now
        seen.client_next, seen.server_next = u32(t + 4) + <uint32_t>length, u32(t + 8)
        seen.wanted, seen.have = RECORD_HEADER + u16(payload + 3), length
        if address != NULL:
            seen.hardware_address = PyBytes_FromStringAndSize(<const char *>address, 8)
        elif ask is not None:
            seen.hardware_address = ask()
        datagram = PyBytes_FromStringAndSize(<const char *>p, n)
        if seen.have == seen.wanted:
            seen.hello = seen._joined(True, datagram, offset + header)
        self._keep(seen, True, datagram, offset + header)
        self._entries[key] = seen
        while len(self._entries) > _CAPACITY or self._held > HELD_LIMIT:
            self._make_room()
        return WATCH

    cdef int _make_room(self) except -2:
        cdef Seen oldest
        _, oldest = self._entries.popitem(last=False)
        self._held -= oldest.held
        if oldest.final < 0:
            self._spill(oldest)
        return 0

    cdef int _go_on(
        self, Seen seen, const uint8_t *p, Py_ssize_t n, Py_ssize_t offset, Py_ssize_t header,
        bint from_client, int64_t now,
    ) except -2:
        cdef const uint8_t *t = p + offset
        cdef Py_ssize_t at = offset + header
        cdef uint32_t length = <uint32_t>(n - at)
        cdef uint32_t sequence = u32(t + 4), acknowledged = u32(t + 8)
        if seen.final >= 0:
            return seen.final  # the rest of a burst
        if seen.judged >= 0 and from_client:
            # It is believed when the client has acknowledged all that it was judged by.
            if acknowledged - seen.judged_at >= <uint32_t>0x80000000:
                return _SLOW
            return self._finish(seen)
        if len(seen.datagrams) >= DATAGRAMS:
            return _SLOW
        datagram = PyBytes_FromStringAndSize(<const char *>p, n)
        if from_client:
            if sequence != seen.client_next or acknowledged != seen.server_next:
                return _SLOW
            if seen.have + length > seen.wanted:
                return _SLOW
            if seen.have + length == seen.wanted:
                seen.hello = seen._joined(True, datagram, at)
            seen.have += length
            seen.client_next += length
            self._keep(seen, True, datagram, at)
            return WATCH
        if seen.hello is None or sequence != seen.server_next or acknowledged != seen.client_next:
            return _SLOW
        if seen.judged < 0:
            shown = seen._read_answer(seen._joined(False, datagram, at))
            if shown == ODD:
                return _SLOW
            if shown == SHOWN:
                decided = self._judged(seen)
                if decided == _SLOW:
                    return _SLOW
                seen.judged = decided
                seen.judged_at = seen.server_next + length
        seen.server_next += length
        self._keep(seen, False, datagram, at)
        if seen.judged == EXEMPT or (seen.judged >= 0 and not self.enforce):
            return self._finish(seen)
        return WATCH

    cdef int _keep(self, Seen seen, bint from_client, bytes datagram, Py_ssize_t at) except -2:
        seen.datagrams.append((from_client, datagram))
        seen.payloads.append(at)
        seen.held += n_bytes(datagram)
        self._held += n_bytes(datagram)
        return 0

    cdef int _finish(self, Seen seen) except -2:
        """Give a connection its class; what it said is needed no more."""
        seen.final = seen.judged
        seen.datagrams, seen.payloads = [], []
        seen.hello = seen.server_hello = seen.leaf = None
        self._held -= seen.held
        seen.held = 0
        return seen.final


cdef inline Py_ssize_t n_bytes(bytes data):
    return PyBytes_GET_SIZE(data)


# Of include/uapi/linux/netfilter/nfnetlink_queue.h and netlink.h.
cdef enum:
    PACKET = 3 << 8  # NFNL_SUBSYS_QUEUE, NFQNL_MSG_PACKET
    VERDICT = 3 << 8 | 1  # NFQNL_MSG_VERDICT
    PACKET_HEADER = 1  # NFQA_PACKET_HDR
    VERDICT_HEADER = 2  # NFQA_VERDICT_HDR
    MARK = 3  # NFQA_MARK
    ADDRESS = 9  # NFQA_HWADDR
    PAYLOAD = 10  # NFQA_PAYLOAD
    TYPE_MASK = 0x3FFF
    REQUEST = 1  # NLM_F_REQUEST
    ACCEPT = 1  # NF_ACCEPT
    FRONT = 20  # nlmsghdr and nfgenmsg
    VERDICT_LENGTH = 40


# As long, and as many, repetitions wait to be told together (see `ratwall.reports.gathering`).
cdef int64_t GATHER_US = 50000
cdef Py_ssize_t TOGETHER = 64


cdef class QueueReader:
    """Reads a queue's socket, answers what the fast path decides, and returns the rest.

    It stands where NetfilterQueue expects a socket: `recv` returns the message of a packet that
    the slow path must decide. Every packet is answered in one of the two places. `wait` does so for
    as long as there is nothing to do but packets of the fast path: between two of them no Python
    runs that would have to come back into the processor's caches.
    """

    cdef public int left  # packets to be read before BlockingIOError says that the batch is done
    cdef FastPath _path
    cdef int _descriptor
    cdef bytearray _room
    cdef Py_ssize_t _size, _kept
    cdef int64_t _until  # when `wait` ends, monotonic microseconds
    cdef int64_t _feed_at, _feed_us  # when the watchdog is fed next, and how often
    cdef int _watchdog
    cdef bytes _feed
    cdef uint8_t _answer[VERDICT_LENGTH]

    def __init__(self, int descriptor, Py_ssize_t size, FastPath path):
        """`size` is that of the longest message."""
        self._descriptor, self._size, self._path = descriptor, size, path
        self._room = bytearray(size)
        self.left = 0
        self._kept = 0  # bytes of a message that `wait` has left for `recv`
        self._until = 0
        self._watchdog = -1

    def feed(self, int watchdog, bytes notice, double seconds):
        """From now on have `wait` send a notice to this descriptor, so often."""
        self._watchdog, self._feed = watchdog, notice
        self._feed_at, self._feed_us = 0, <int64_t>(seconds * 1000000)

    def wait(self, double seconds, int other):
        """Decide packets until a time is over; return two answers.

        Whether a packet is for the slow path, which `recv` gives then, and whether `other` (a
        descriptor, or -1) can be read. Either ends it before its time, as do `hasten` and a signal.
        """
        cdef char *room = self._room
        cdef ssize_t length
        cdef pollfd watched[2]
        cdef int ready, count = 1 if other < 0 else 2
        cdef bint slow = False, heard = False
        cdef Py_ssize_t repeated
        cdef int64_t now = clock_us(CLOCK_MONOTONIC), until
        watched[0].fd, watched[1].fd = self._descriptor, other
        watched[0].events = watched[1].events = POLLIN
        self._until = now + <int64_t>(seconds * 1000000)
        while now <= self._until and not slow and not heard:
            watched[0].revents = watched[1].revents = 0
            until = self._until
            if self._watchdog >= 0:
                if self._feed_at <= now:
                    self._feed_at = now + self._feed_us
                    # Full, or its reader is being restarted: the next is due in a moment.
                    send(
                        self._watchdog, PyBytes_AS_STRING(self._feed), n_bytes(self._feed),
                        MSG_DONTWAIT | MSG_NOSIGNAL,
                    )
                if self._feed_at < until:
                    until = self._feed_at
            # Rounded up: a rest of less than a millisecond is not spent turning.
            ready = <int>((until - now + 999) // 1000)
            with nogil:
                ready = poll(watched, count, ready)
            if ready < 0:
                if errno != EINTR:
                    raise OSError(errno, "packet queue")
                break
            if watched[0].revents:
                length = recv(self._descriptor, room, self._size, MSG_DONTWAIT)
                if length >= 0:
                    slow = not self._settle(<const uint8_t *>room, length)
                    repeated = len(self._path.repeated)
                    if repeated:
                        until = clock_us(CLOCK_MONOTONIC) + (GATHER_US if repeated < TOGETHER else 0)
                        self._until = until if until < self._until else self._until
                    self._kept = length if slow else 0
                elif errno != EAGAIN and errno != EINTR and errno != ENOBUFS:
                    raise OSError(errno, "packet queue")
            heard = count == 2 and watched[1].revents != 0
            PyErr_CheckSignals()
            now = clock_us(CLOCK_MONOTONIC)
        PyErr_CheckSignals()
        return slow, heard

    def hasten(self, double seconds):
        """Have `wait`, which is under way, end in so many seconds at the latest."""
        cdef int64_t until = clock_us(CLOCK_MONOTONIC) + <int64_t>(seconds * 1000000)
        if until < self._until:
            self._until = until

    def recv(self, size):
        """Return the next message for the slow path; BlockingIOError when there is none."""
        cdef char *room = self._room
        cdef ssize_t length
        if self._kept:
            length, self._kept = self._kept, 0
            return PyBytes_FromStringAndSize(room, length)
        while self.left > 0:
            self.left -= 1
            length = recv(self._descriptor, room, self._size, MSG_DONTWAIT)
            if length < 0:
                raise OSError(errno, "packet queue")
            if not self._settle(<const uint8_t *>room, length):
                return PyBytes_FromStringAndSize(room, length)
        raise BlockingIOError(11, "batch done")

    cdef int _settle(self, const uint8_t *m, ssize_t length) except -1:
        """Have the fast path decide and answer the kernel; False where that was not done."""
        cdef uint32_t word, mark = 0
        cdef uint16_t kind, size
        cdef const uint8_t *identity = NULL
        cdef const uint8_t *address = NULL
        cdef const uint8_t *payload = NULL
        cdef Py_ssize_t at = FRONT, payload_length = 0
        cdef int flow_class
        if length < FRONT:
            return False
        memcpy(&word, m, 4)
        memcpy(&kind, m + 4, 2)
        if word != length or kind != PACKET:
            return False
        while at + 4 <= length:
            memcpy(&size, m + at, 2)
            memcpy(&kind, m + at + 2, 2)
            if size < 4 or at + size > length:
                return False
            kind &= TYPE_MASK
            if kind == PACKET_HEADER and size >= 11:
                identity = m + at + 4
            elif kind == MARK and size == 8:
                mark = u32(m + at + 4)
            elif kind == ADDRESS and size >= 16:
                address = m + at + 8
            elif kind == PAYLOAD:
                payload, payload_length = m + at + 4, size - 4
            at += (size + 3) & ~3
        if identity == NULL or payload == NULL:
            return False
        try:
            flow_class = self._path._offer(payload, payload_length, mark, address, None)
        except Exception:
            # As if it were not there: what is right, or a fault too, is for the slow path to say.
            log.exception("fast path: a packet that it failed on takes the slow one")
            return False
        if flow_class == _SLOW:
            return False
        mark = (mark & self._path._verdict_mask) | <uint32_t>flow_class << self._path._shift
        self._write(m, identity, mark)
        if send(self._descriptor, self._answer, VERDICT_LENGTH, 0) != VERDICT_LENGTH:
            raise OSError(errno, "packet queue")
        return True

    cdef void _write(self, const uint8_t *m, const uint8_t *identity, uint32_t mark) noexcept:
        cdef uint8_t *a = self._answer
        cdef uint32_t word = VERDICT_LENGTH
        cdef uint16_t half = VERDICT
        memset(a, 0, VERDICT_LENGTH)
        memcpy(a, &word, 4)
        memcpy(a + 4, &half, 2)
        half = REQUEST
        memcpy(a + 6, &half, 2)
        memcpy(a + 18, m + 18, 2)  # the queue's number, as the packet came
        half = 12
        memcpy(a + 20, &half, 2)
        half = VERDICT_HEADER
        memcpy(a + 22, &half, 2)
        word = htonl(ACCEPT)
        memcpy(a + 24, &word, 4)
        memcpy(a + 28, identity, 4)
        half = 8
        memcpy(a + 32, &half, 2)
        half = MARK
        memcpy(a + 34, &half, 2)
        word = htonl(mark)
        memcpy(a + 36, &word, 4)
