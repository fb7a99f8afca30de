"""What one DNS answer says."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one question; names are in small letters, without the last dot."""

    name: str  # as asked for
    aliases: tuple[str, ...]  # that it led over, in that order
    addresses: tuple[str, ...]  # IPv4 and IPv6, as text; none if there is no such name
    code: int  # 0: no error, 3: no such name (RFC 1035 section 4.1.1)

    @property
    def names(self) -> tuple[str, ...]:
        """The name and its aliases."""
        return (self.name, *self.aliases)
