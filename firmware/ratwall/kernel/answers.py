"""The rules that copy DNS answers, so that servers get the names they were asked for by.

Pure text, lines for `ratwall.kernel.ruleset`; they decide nothing: an answer is copied and passes,
read or not. Copied is what a name server says to the office in answer to a question that conntrack
has seen leave, from the very ports and addresses; what nobody asked for is not. In router mode the
box may be the resolver of the office itself: then its own answers are copied too.
"""

from collections.abc import Iterator

from ratwall.kernel.marks import Marks

DNS_PORT = 53
# The longest answer over UDP that clients ask for (4,096 bytes, RFC 6891 section 6.2.5), and the
# headers before it. Over TCP a longer segment is cut off there, and its last records are not read.
ANSWER_BYTES = 4096 + 128
ANSWER_COPIES = 500  # a second: fifty people opening pages; reading one takes a fifth of a ms
COUNTER = "uncopied_answers"


def declarations() -> Iterator[str]:
    """Declare the counter of answers above the rate."""
    yield f"  counter {COUNTER} {{ }}"


def gate_rules(marks: Marks) -> Iterator[str]:
    """Send answers from outside through `chain`; they come back and go on."""
    answered = f"meta mark & {marks.wan:#010x} != 0 ct direction reply"
    yield f"    udp sport {DNS_PORT} {answered} jump answers"
    yield f"    tcp sport {DNS_PORT} @ih,0,8 >= 0 {answered} jump answers"


def chain(group: int) -> Iterator[str]:
    """Copy up to the rate, count what is above it."""
    rate = f"limit rate {ANSWER_COPIES}/second burst {ANSWER_COPIES} packets"
    yield "  chain answers {"
    yield f"    {rate} log group {group} snaplen {ANSWER_BYTES} return"
    yield f"    counter name {COUNTER}"
    yield "  }"


def own_chain(lan: str) -> Iterator[str]:
    """Copy what the box itself, as the resolver of the office, answers its devices."""
    yield "  chain own_answers {"
    yield "    type filter hook output priority 0; policy accept;"
    for protocol in ("udp", "tcp"):
        yield (
            f'    oifname "{lan}" {protocol} sport {DNS_PORT} @ih,0,8 >= 0 '
            "ct direction reply jump answers"
        )
    yield "  }"
