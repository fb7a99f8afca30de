"""Tells a syslog server: over UDP (RFC 5426), TCP (RFC 6587, octet counting) or TLS (RFC 5425).

Syslog has no answer. Over TCP and TLS a record counts as told when the other end's kernel has
acknowledged it and the connection stands two seconds later; over UDP when it was sent.
"""

import socket
from collections.abc import Sequence

from ratwall.export.connection import connect, has_arrived, secured, tls_context
from ratwall.export.courier import DeliveryError
from ratwall.export.records import Record
from ratwall.export.syslog_message import DATAGRAM_LIMIT, STREAM_LIMIT, message
from ratwall.settings.export import ExportSyslog, parse_server

# A server that dies takes along what its kernel had and it had not read: milliseconds' worth.
SETTLE_SECONDS = 2.0


class SyslogReceiver:
    """One server; the connection is made when there is something to tell, and kept."""

    def __init__(self, settings: ExportSyslog, host: str) -> None:
        """`host` is the box's name in the header's form."""
        self.where = f"{settings.server} over {settings.transport.upper()}"
        self.settle_seconds = 0.0 if settings.transport == "udp" else SETTLE_SECONDS
        self._settings = settings
        self._place = parse_server(str(settings.server))
        self._host = host
        self._connection: socket.socket | None = None

    def deliver(self, records: Sequence[Record]) -> None:
        """Send records in order; DeliveryError if not all could be."""
        if self._connection is None:
            self._connection = self._connect()
        datagrams = self._settings.transport == "udp"
        messages = [
            message(
                record,
                host=self._host,
                facility=self._settings.facility,
                form=self._settings.format,
                limit=DATAGRAM_LIMIT if datagrams else STREAM_LIMIT,
            )
            for record in records
        ]
        try:
            if datagrams:
                for each in messages:
                    self._connection.send(each)
            else:
                self._connection.sendall(
                    b"".join(b"%d %b" % (len(each), each) for each in messages)
                )
        except OSError as error:
            raise DeliveryError(
                f"{self.where}: cannot be sent: {error.strerror or error}"
            ) from error

    def check(self) -> bool:
        """Say whether all has arrived; DeliveryError if the connection is gone."""
        if self._connection is None or self._settings.transport == "udp":
            return True
        return has_arrived(self._connection)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> socket.socket:
        host, port = self._place
        if self._settings.transport == "tls":
            context = tls_context(self._settings.ca_file)
            return secured(connect(host, port), host, context)
        if self._settings.transport == "tcp":
            return connect(host, port)
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_DGRAM
            )[0]
            connection = socket.socket(family, kind, protocol)
            connection.connect(address)  # so that a refusal is heard
        except OSError as error:
            raise DeliveryError(
                f"{host} port {port} cannot be reached: {error.strerror}"
            ) from error
        return connection
