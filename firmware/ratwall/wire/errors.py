"""The one error of the wire parsers: bytes that no reading of the protocol allows.

It never means "more bytes are needed" (parsers return None for that) and never leaves `flow`: an
observer that crashes on what it sees is an observer that can be switched off from outside.
"""

from ratwall.errors import RatwallError


class ParseError(RatwallError):
    """Bytes that cannot be what they claim to be, and where in them the reading stopped."""

    def __init__(self, what: str, offset: int) -> None:
        super().__init__(f"{what} at byte {offset}")
        self.what = what
        self.offset = offset
