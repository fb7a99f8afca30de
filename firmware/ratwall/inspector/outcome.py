"""What follows from a judgement: the class that frees or cuts a connection, when, and what is told.

Pure: it keeps nothing and gives no verdict itself. Design note: these are asked once a connection,
by the fast path as by the slow one, so that both come to the same end.
"""

import base64
import ipaddress
from typing import Any

from ratwall.flow.connection import Connection
from ratwall.inspector.tracked import Tracked
from ratwall.kernel.marks import FlowClass
from ratwall.verdict.judge import Judgement, Remembered, Verdict
from ratwall.verdict.record import flow_record
from ratwall.wire.packet import Segment, TcpFlag
from ratwall.wire.tls.facts import TlsFacts

Report = dict[str, Any]


def class_of(
    judgement: Judgement, facts: TlsFacts, *, hidden: bool, allowed: bool, enforce: bool
) -> FlowClass:
    """Return the class of a judged connection.

    `hidden`: it showed no certificate, or its device is watched; `allowed`: a person wants it to
    pass; `enforce`: connections are cut, not only told of.
    """
    if judgement.verdict is Verdict.BLOCK:
        if allowed:
            return FlowClass.EXEMPT
        return FlowClass.BLOCK if enforce and judgement.enforced else FlowClass.OBSERVED
    nameless = facts.sni is None
    if hidden or nameless or facts.preamble or judgement.verdict is not Verdict.CLEAN:
        return FlowClass.OBSERVED
    return FlowClass.CLEAN


def is_allowed(
    certificates: frozenset[tuple[str, str | None]],
    device: bytes,
    facts: TlsFacts,
    remembered: Remembered | None,
) -> bool:
    """Say whether the certificate shown, or the one remembered of the server, is allowed.

    `certificates`: SHA-256 and the device that it is allowed for, None for all.
    """
    if not certificates:
        return False
    certificate = facts.certificate
    if certificate is not None:
        sha256 = certificate.sha256
    elif remembered is not None:
        sha256 = remembered.certificate_sha256
    else:
        return False
    return bool({(sha256, None), (sha256, str(ipaddress.ip_address(device)))} & certificates)


def is_believed(
    tracked: Tracked, connection: Connection, from_client: bool, segment: Segment
) -> bool:
    """Say whether the class that a connection was judged to get can be given to it now.

    A server may say things that its client throws away: out of date, out of place, addressed too
    far. What frees a connection is believed when the client has acknowledged it; then it is the
    one text that the client reads. It says so with its next message, which every handshake has.
    """
    if tracked.judged in (FlowClass.BLOCK, FlowClass.EXEMPT) or tracked.judged_at is None:
        return True
    if connection.out_of_turn:
        return False
    if not connection.carried_tls or connection.facts.picked_up or connection.hopeless:
        return True
    behind = (segment.acknowledgement - tracked.judged_at) & 0xFFFFFFFF
    return from_client and bool(segment.flags & TcpFlag.ACK) and behind < 0x80000000


def report_of(
    tracked: Tracked,
    facts: TlsFacts,
    first_seen: int,
    judgement: Judgement,
    flow_class: FlowClass,
    *,
    enforce: bool,
) -> Report:
    """Return what the controller is told of a judged connection; `first_seen` in UTC µs."""
    der = facts.certificate_der if judgement.verdict is not Verdict.CLEAN else None
    return {
        "type": "flow",
        "class": flow_class.name.lower(),
        "enforced": enforce and judgement.enforced,
        "proxied": tracked.alone,
        "mac": tracked.hardware_address,
        "der": None if der is None else base64.b64encode(der).decode(),
        **flow_record(
            client=tracked.device,
            client_port=tracked.device_port,
            server=tracked.server,
            server_port=tracked.server_port,
            start_us=first_seen,
            facts=facts,
            judgement=judgement,
        ),
    }
