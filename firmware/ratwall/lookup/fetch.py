"""One look-up: connect, say hello, read up to the certificate, leave.

It sends the hello and nothing else, reads at most `BYTES_LIMIT`, and ends after `SECONDS` whatever
the server does. The certificate is read by the same code as on the wire, and judged by those rules
alone that ask for a certificate: the hello is the box's own.
"""

import base64
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from ratwall.lookup.hello import client_hello
from ratwall.signatures.endpoint import Endpoint
from ratwall.signatures.match import match
from ratwall.signatures.pack import Pack
from ratwall.verdict.record import certificate_record
from ratwall.wire.tls.conversation import Conversation, ConversationState
from ratwall.wire.tls.facts import TlsFacts

SECONDS = 3.0  # for all of it: three round trips to the far side of the world, and patience
BYTES_LIMIT = 64 * 1024  # read of a server: a flight has 2 to 8 KiB
DER_LIMIT = 32 * 1024  # handed on: with its base64 it fits the pipe to the controller (64 KiB)
CHUNK = 4096
UNDECIDED = (ConversationState.UNKNOWN, ConversationState.HANDSHAKE)


def fetch(server: str, port: int, name: str | None) -> TlsFacts:
    """Return what a server shows; OSError if it cannot be reached or does not answer in time."""
    deadline = time.monotonic() + SECONDS
    conversation = Conversation()
    with socket.create_connection((server, port), timeout=SECONDS) as connection:
        hello = client_hello(os.urandom(32), name)
        connection.sendall(hello)
        conversation.receive(True, hello)
        received = 0
        while conversation.state in UNDECIDED and received < BYTES_LIMIT:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            data = connection.recv(CHUNK)
            if not data:
                break
            received += len(data)
            conversation.receive(False, data)
            if time.monotonic() >= deadline:
                raise TimeoutError(f"no certificate within {SECONDS:g} s")
    return conversation.facts


def result(packs: Sequence[Pack], facts: TlsFacts, server: str, port: int) -> dict[str, Any]:
    """Return what was found as a JSON-ready object: certificate, DER, and what of it is evidence.

    All null or empty where the server showed no certificate that can be read.
    """
    certificate, der = facts.certificate, facts.certificate_der
    if certificate is None or der is None or len(der) > DER_LIMIT:
        return {"certificate": None, "der": None, "evidence": []}
    shown = TlsFacts(
        certificate=certificate,
        certificate_der=der,
        chain_length=facts.chain_length,
        server_hello=facts.server_hello,
    )
    of_certificates = [
        replace(pack, rules=tuple(rule for rule in pack.rules if rule.of_certificate))
        for pack in packs
    ]
    endpoint = Endpoint(ip_address(server).packed, port)
    return {
        "certificate": certificate_record(certificate),
        "der": base64.b64encode(der).decode(),
        "evidence": [
            {**item.as_dict(), "decisive": item.decisive, "family": item.family}
            for item in match(of_certificates, shown, endpoint)
        ],
    }
