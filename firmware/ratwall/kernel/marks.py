"""The bits of the packet mark and of the conntrack mark that are Ratwall's.

One mask of eight contiguous bits holds everything; no rule and no verdict touches another bit, so
policy routing and other firewalls keep theirs. Within the mask, from its highest bit:

    LAN  TO_INSPECT  WAN  ALONE  class class class class

The side bits, TO_INSPECT and ALONE live on the packet only, for as long as it crosses the forward
hook. The class lives on the packet between the inspector's verdict and the rule that saves it, and
on the conntrack entry for the life of the flow.
"""

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Marks:
    """The mask and the values within it, shifted into place."""

    mask: int = DEFAULT_MASK

    def __post_init__(self) -> None:
        base = self.mask >> self.shift if self.mask else 0
        if base != (1 << MARK_BITS) - 1 or self.mask > 0xFFFFFFFF:
            raise ValueError(f"mark mask {self.mask:#x} is not {MARK_BITS} contiguous bits")

    @property
    def shift(self) -> int:
        """How far the eight bits are from the right."""
        return (self.mask & -self.mask).bit_length() - 1

    @property
    def lan(self) -> int:
        """Set on a packet that entered at the LAN port."""
        return 0x80 << self.shift

    @property
    def to_inspect(self) -> int:
        """Set on a packet before the queue; cleared by every verdict."""
        return 0x40 << self.shift

    @property
    def wan(self) -> int:
        """Set on a packet that entered at the WAN port."""
        return 0x20 << self.shift

    @property
    def alone(self) -> int:
        """Set with BLOCK on a packet whose connection is cut but whose endpoint is not blocked."""
        return 0x10 << self.shift

    @property
    def tagged(self) -> int:
        """Set on a packet of a tagged frame until the gate is passed: the same bit as `alone`."""
        return 0x10 << self.shift

    @property
    def told(self) -> int:
        """Set on a conntrack entry with BLOCK once the client was sent a second reset."""
        return 0x10 << self.shift

    @property
    def class_mask(self) -> int:
        """The bits that hold the class."""
        return 0x0F << self.shift

    def of(self, flow_class: FlowClass) -> int:
        """Return the class, shifted into place."""
        return int(flow_class) << self.shift

    def class_of(self, mark: int) -> FlowClass:
        """Return the class held in a mark; an unknown value counts as NONE."""
        value = (mark & self.class_mask) >> self.shift
        return FlowClass(value) if value <= max(FlowClass) else FlowClass.NONE

    def verdict(self, mark: int, flow_class: FlowClass) -> int:
        """Return a packet's mark after its verdict: side kept, TO_INSPECT gone, class set."""
        return (mark & ~(self.to_inspect | self.class_mask)) | self.of(flow_class)
