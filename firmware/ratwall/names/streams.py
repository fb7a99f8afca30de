"""DNS over TCP: from copied segments to whole messages, each behind its two bytes of length
(RFC 1035 section 4.2.2).

Best effort and bounded: a copy that is missing or cut off ends what can be read of its connection.
Nothing here holds a packet back, and what is not read only stays without a name.
"""

from collections import OrderedDict

from ratwall.wire.packet import Segment
from ratwall.wire.reassembly import Stream

STREAMS_LIMIT = 32  # connections read at one time: each is over within milliseconds
LENGTH_BYTES = 2
WINDOW = 1 << 20  # a segment further off belongs to a new connection on old ports
_CIRCLE = 1 << 32

Ends = tuple[bytes, int, bytes, int]


class AnswerStreams:
    """Feed it the server's segments in any order."""

    def __init__(self) -> None:
        self._streams: OrderedDict[Ends, tuple[Stream, bytearray]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._streams)

    def take(self, segment: Segment) -> list[bytes]:
        """Take a copy; return the messages that are whole now."""
        ends = (
            segment.source,
            segment.source_port,
            segment.destination,
            segment.destination_port,
        )
        known = self._streams.get(ends)
        if known is None or _is_far(known[0], segment.sequence):
            # Its first segment is the first that is copied: the handshake has no payload.
            known = self._streams[ends] = (Stream(segment.sequence), bytearray())
        self._streams.move_to_end(ends)
        if len(self._streams) > STREAMS_LIMIT:
            self._streams.popitem(last=False)
        stream, text = known
        text += stream.push(segment.sequence, segment.payload)
        messages = _take_whole(text)
        if segment.missing or stream.overflowed:
            del self._streams[ends]
        return messages


def _take_whole(text: bytearray) -> list[bytes]:
    """Take the messages that are whole out of the front of a text."""
    messages = []
    while len(text) >= LENGTH_BYTES:
        end = LENGTH_BYTES + int.from_bytes(text[:LENGTH_BYTES], "big")
        if len(text) < end:
            break
        messages.append(bytes(text[LENGTH_BYTES:end]))
        del text[:end]
    return messages


def _is_far(stream: Stream, sequence: int) -> bool:
    expected = stream.next_sequence
    if expected is None:
        return False
    ahead = (sequence - expected) % _CIRCLE
    return min(ahead, _CIRCLE - ahead) > WINDOW
