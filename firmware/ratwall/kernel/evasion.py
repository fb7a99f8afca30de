"""The rules that leave no way around the inspector: pure text, lines for `ratwall.kernel.ruleset`.

Each is for packets that the plain rules, "queue what has payload until the connection is judged",
would not show it, and that change what the client reads. They match next to nothing on an honest
network, so they cost nothing there.
"""

from collections.abc import Iterator

from ratwall.kernel.marks import FlowClass, Marks

# The first two bytes of every TLS handshake record, and the sixth of one with a ClientHello.
HELLO = "@ih,0,16 0x1603 @ih,40,8 0x01"


def repeat_rule(marks: Marks) -> str:
    """Hand the first segment that a server sends after the cut to the inspector once more.

    The reset in place of the first one may be lost on its way, and the client, who waits, would
    then wait for ever: this segment becomes another one. The next meets `reject`, for the server.
    """
    once = f"ct mark & {marks.class_mask | marks.told:#010x} == {marks.of(FlowClass.BLOCK):#010x}"
    return (
        f"    meta mark & {marks.wan:#010x} != 0 {once} meta l4proto tcp @ih,0,8 >= 0 "
        f"ct mark set ct mark | {marks.told:#010x} {_inspect(marks, FlowClass.BLOCK)} accept"
    )


def hello_rule(marks: Marks) -> str:
    """Bring a connection back that was given up when its client says hello after all.

    So nothing that a server says before the hello, read or thrown away by its client, decides.
    """
    return (
        f"    meta mark & {marks.lan:#010x} != 0 meta l4proto tcp {HELLO} "
        f"{_inspect(marks, FlowClass.OBSERVED)} accept"
    )


def catching_rules(marks: Marks) -> Iterator[str]:
    """Show the inspector what has no payload and matters, and what conntrack disowns."""
    wan = f"meta mark & {marks.wan:#010x} != 0"
    watched = f"meta mark & {marks.class_mask:#010x} == {marks.of(FlowClass.WATCH):#010x}"
    # Without its class on the packet it would look like the first of a new connection.
    yield f"    ct state invalid meta mark set meta mark | {marks.of(FlowClass.STRAY):#010x}"
    # Fast Open: the client has spoken in its SYN, and this tells where the server's bytes start.
    yield f"    {wan} {watched} tcp flags & (syn | ack) == (syn | ack) {_inspect(marks)}"
    # An empty segment may declare a byte urgent that comes later.
    yield f"    {wan} tcp flags & urg == urg {_inspect(marks)}"


def _inspect(marks: Marks, flow_class: FlowClass = FlowClass.NONE) -> str:
    """Mark a packet for the inspector; the bit of a tagged frame ends with the gate."""
    kept = 0xFFFFFFFF & ~marks.tagged
    return (
        f"meta mark set meta mark & {kept:#010x} | {marks.to_inspect | marks.of(flow_class):#010x}"
    )
