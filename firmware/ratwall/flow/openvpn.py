"""The TLS handshake inside OpenVPN over TCP, whose control packets carry it in pieces.

Every packet stands behind two bytes of length: opcode, session id, an HMAC where tls-auth is used,
acknowledgements, packet number, and only then TLS. The HMAC's size is agreed out of band; what can
be read is no HMAC and the default one (SHA-1), told apart by the length of the opening packet.
"""

from typing import Final

_OPCODE_SHIFT: Final = 3  # the low bits are a key number
_CONTROL: Final = 4
_RESET_CLIENT: Final = 7
_RESET_SERVER: Final = 8
_SESSION: Final = 8
_NUMBER: Final = 4
# SHA-1, then a packet number and a time against replay.
_HMACS: Final = (0, 20 + 4 + 4)
_HMAC_LIMIT: Final = 64 + 4 + 4  # SHA-512
# Opcode, session, count of acknowledgements, number; the server's also acknowledges one packet.
_OPENING: Final = {_RESET_CLIENT: 1 + _SESSION + 1 + _NUMBER, _RESET_SERVER: 26}
# OpenVPN's control packets stay below the MTU of an Ethernet.
_PACKET_LIMIT: Final = 2048


def opening_hmac(data: bytes) -> int | None:
    """The HMAC's size if bytes are OpenVPN's first packet in a direction, else None."""
    if len(data) < 3:
        return None
    expected = _OPENING.get(data[2] >> _OPCODE_SHIFT)
    if expected is None:
        return None
    hmac = (data[0] << 8 | data[1]) - expected
    return hmac if 0 <= hmac <= _HMAC_LIMIT else None


class OpenVpn:
    """Takes TLS out of one direction's packets."""

    __slots__ = ("_held", "_hmac", "_next")

    def __init__(self, hmac: int) -> None:
        self._hmac = hmac
        self._held = b""
        self._next = 1  # the opening packet is number 0

    @property
    def held(self) -> int:
        """Bytes of a packet that is not whole yet."""
        return len(self._held)

    def unwrap(self, data: bytes) -> bytes:
        """Return the TLS bytes that the in-order bytes of the direction complete."""
        data = self._held + data
        tls = bytearray()
        position = 0
        while len(data) - position >= 2:
            length = data[position] << 8 | data[position + 1]
            end = position + 2 + length
            if length > _PACKET_LIMIT:
                position = len(data)  # no control packet: the tunnel is up, or this is no OpenVPN
                break
            if end > len(data):
                break
            tls += self._content(data[position + 2 : end])
            position = end
        self._held = data[position:]
        return bytes(tls)

    def _content(self, packet: bytes) -> bytes:
        """TLS bytes of a control packet that continues the handshake, once each."""
        count_at = 1 + _SESSION + self._hmac
        if len(packet) <= count_at or packet[0] >> _OPCODE_SHIFT != _CONTROL:
            return b""
        if self._hmac not in _HMACS:
            return b""
        acknowledgements = packet[count_at]
        number_at = count_at + 1
        if acknowledgements:
            number_at += acknowledgements * _NUMBER + _SESSION
        start = number_at + _NUMBER
        if int.from_bytes(packet[number_at:start], "big") != self._next:
            return b""
        self._next += 1
        return packet[start:]
