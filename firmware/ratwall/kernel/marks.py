"""The bits of the packet mark and of the conntrack mark that are Ratwall's.

One mask of eight contiguous bits holds everything; no rule and no verdict touches another bit, so
policy routing and other firewalls keep theirs. Within the mask, from its highest bit:

    LAN  TO_INSPECT  WAN  ALONE  class class class class

The side bits, TO_INSPECT and ALONE live on the packet only, for as long as it crosses the forward
hook. The class lives on the packet between the inspector's verdict and the rule that saves it, and
on the conntrack entry for the life of the flow.
"""

from dataclasses import dataclass, field
from enum import IntEnum

MARK_BITS = 8  # two sides, TO_INSPECT, ALONE, four for the class
DEFAULT_MASK = 0xFF000000  # the top byte: the one least used by other software


class FlowClass(IntEnum):
    """The class of a flow, as stored in the low four bits of the masked mark."""

    NONE = 0  # nothing was decided: payload is queued
    CLEAN = 1  # judged and found clean: stays in the kernel
    WATCH = 2  # being inspected: still queued
    OBSERVED = 3  # unjudged or certificate hidden: no longer queued, what its client says copied
    UNINSPECTED = 4  # a packet passed while nobody inspected; copied like OBSERVED
    EXEMPT = 5  # outside what is inspected: inbound, or allowed by rule
    BLOCK = 6  # cut
    EVICTED = 7  # was observed, made room for a more suspicious one: no longer copied
    STRAY = 8  # on a packet only: conntrack counts it to no connection


_CLASSES = tuple(
    FlowClass(value) if value in set(FlowClass) else FlowClass.NONE for value in range(16)
)


@dataclass(frozen=True, slots=True)
class Marks:
    """The mask and the values within it, shifted into place; worked out once, read for each packet.

    On a packet: `lan` and `wan` say at which port it entered, `to_inspect` is set before the queue
    and cleared by every verdict, `tagged` is set on a packet of a tagged frame until the gate is
    passed, `alone` with BLOCK on one whose connection is cut but whose endpoint is not blocked.
    On a conntrack entry: `told`, with BLOCK, once the client was sent a second reset. The last
    three are the same bit.
    """

    mask: int = DEFAULT_MASK
    shift: int = field(init=False, repr=False, compare=False)
    lan: int = field(init=False, repr=False, compare=False)
    to_inspect: int = field(init=False, repr=False, compare=False)
    wan: int = field(init=False, repr=False, compare=False)
    alone: int = field(init=False, repr=False, compare=False)
    tagged: int = field(init=False, repr=False, compare=False)
    told: int = field(init=False, repr=False, compare=False)
    class_mask: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        shift = (self.mask & -self.mask).bit_length() - 1
        base = self.mask >> shift if self.mask else 0
        if base != (1 << MARK_BITS) - 1 or self.mask > 0xFFFFFFFF:
            raise ValueError(f"mark mask {self.mask:#x} is not {MARK_BITS} contiguous bits")
        values = {
            "shift": shift,
            "lan": 0x80 << shift,
            "to_inspect": 0x40 << shift,
            "wan": 0x20 << shift,
            "alone": 0x10 << shift,
            "tagged": 0x10 << shift,
            "told": 0x10 << shift,
            "class_mask": 0x0F << shift,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def of(self, flow_class: FlowClass) -> int:
        """Return the class, shifted into place."""
        return int(flow_class) << self.shift

    def class_of(self, mark: int) -> FlowClass:
        """Return the class held in a mark; an unknown value counts as NONE."""
        return _CLASSES[(mark & self.class_mask) >> self.shift]

    def verdict(self, mark: int, flow_class: FlowClass) -> int:
        """Return a packet's mark after its verdict: side kept, TO_INSPECT gone, class set."""
        return (mark & ~(self.to_inspect | self.class_mask)) | self.of(flow_class)
