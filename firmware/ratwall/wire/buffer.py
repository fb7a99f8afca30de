"""A cursor over bytes that pulls big-endian numbers and length-prefixed blocks, and its inverse.

It never copies to narrow itself: a sub-block is another cursor over the same bytes, so the offset
in a ParseError always counts from the beginning of the outermost message.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from struct import Struct
from typing import Self

from ratwall.wire.errors import ParseError

UINT16 = Struct(">H")
UINT32 = Struct(">I")


class Buffer:
    """Reads forward only; every pull past the end is a ParseError that names the byte."""

    __slots__ = ("_base", "_data", "_end", "_position")

    def __init__(
        self, data: bytes | memoryview, base: int = 0, start: int = 0, end: int | None = None
    ) -> None:
        self._data = data
        self._base = base  # what byte 0 of data is called in error messages
        self._position = start
        self._end = len(data) if end is None else end

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.expect_end()

    @property
    def offset(self) -> int:
        """The byte that the next pull reads, as error messages count."""
        return self._base + self._position

    @property
    def remaining(self) -> int:
        """How many bytes are left."""
        return self._end - self._position

    def eof(self) -> bool:
        """Whether every byte has been pulled."""
        return self._position >= self._end

    def expect_end(self) -> None:
        """Raise ParseError when bytes are left over."""
        if self._position < self._end:
            raise ParseError(f"{self.remaining} trailing bytes", self.offset)

    def _advance(self, count: int) -> int:
        position = self._position
        if count > self._end - position:
            raise ParseError(f"{count} bytes wanted, {self._end - position} left", self.offset)
        self._position = position + count
        return position

    def pull_uint8(self) -> int:
        """Pull one byte as a number."""
        return self._data[self._advance(1)]

    def pull_uint16(self) -> int:
        """Pull two bytes as a big-endian number."""
        value: int = UINT16.unpack_from(self._data, self._advance(2))[0]
        return value

    def pull_uint24(self) -> int:
        """Pull three bytes as a big-endian number (TLS handshake lengths)."""
        position = self._advance(3)
        data = self._data
        return data[position] << 16 | data[position + 1] << 8 | data[position + 2]

    def pull_uint32(self) -> int:
        """Pull four bytes as a big-endian number."""
        value: int = UINT32.unpack_from(self._data, self._advance(4))[0]
        return value

    def pull_bytes(self, count: int) -> bytes:
        """Pull exactly `count` bytes."""
        position = self._advance(count)
        return bytes(self._data[position : position + count])

    def pull_rest(self) -> bytes:
        """Pull everything that is left."""
        return self.pull_bytes(self._end - self._position)

    def pull_block(self, length_bytes: int) -> "Buffer":
        """Pull a block behind its length of 1, 2 or 3 bytes; as a context it must be used up."""
        if length_bytes == 1:
            length = self.pull_uint8()
        elif length_bytes == 2:
            length = self.pull_uint16()
        else:
            length = self.pull_uint24()
        position = self._advance(length)
        return Buffer(self._data, self._base, position, position + length)

    def pull_opaque(self, length_bytes: int) -> bytes:
        """Pull the bytes of a length-prefixed block."""
        block = self.pull_block(length_bytes)
        return bytes(self._data[block._position : block._end])

    def pull_uint16_list(self, length_bytes: int = 2) -> tuple[int, ...]:
        """Pull a length-prefixed list of 16-bit numbers; an odd byte left over is a ParseError."""
        block = self.pull_block(length_bytes)
        if block.remaining % 2:
            raise ParseError(f"list of 16-bit numbers in {block.remaining} bytes", block.offset)
        numbers = block.remaining // 2
        values: tuple[int, ...] = Struct(f">{numbers}H").unpack_from(self._data, block._position)
        return values


class Writer:
    """Appends what Buffer pulls; raises ValueError for a block too long for its length field."""

    __slots__ = ("_out",)

    def __init__(self) -> None:
        self._out = bytearray()

    def push_uint8(self, value: int) -> None:
        """Append one byte."""
        self._out.append(value)

    def push_uint16(self, value: int) -> None:
        """Append two bytes, big-endian."""
        self._out += value.to_bytes(2, "big")

    def push_bytes(self, data: bytes) -> None:
        """Append bytes as they are."""
        self._out += data

    @contextmanager
    def push_block(self, length_bytes: int) -> Iterator[None]:
        """Whatever is pushed inside the context goes behind its own length."""
        start = len(self._out)
        self._out += bytes(length_bytes)
        yield
        length = len(self._out) - start - length_bytes
        if length >= 1 << 8 * length_bytes:
            raise ValueError(f"block of {length} bytes behind a {length_bytes}-byte length")
        self._out[start : start + length_bytes] = length.to_bytes(length_bytes, "big")

    def push_opaque(self, data: bytes, length_bytes: int) -> None:
        """Append bytes behind their length."""
        with self.push_block(length_bytes):
            self._out += data

    def push_uint16_list(self, values: tuple[int, ...], length_bytes: int = 2) -> None:
        """Append 16-bit numbers behind their length in bytes."""
        self.push_opaque(b"".join(UINT16.pack(value) for value in values), length_bytes)

    def getvalue(self) -> bytes:
        """Everything pushed so far."""
        return bytes(self._out)
