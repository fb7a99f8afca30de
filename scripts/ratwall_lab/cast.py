"""Who stands in the lab's internet: look-alikes of five families and six honest servers.

Every role listens on the same place in IPv4 and IPv6. It never decides what is sent: the demo and
the tests do. Design note: the honest roles are chosen to share traits with the RATs (self-issued,
TLS 1.0, no name, a steady heartbeat, an odd port), one trait or two each.
"""

from __future__ import annotations

import ssl
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from ratwall_lab.certificates import (
    ASYNCRAT,
    DCRAT,
    QUASAR,
    RENAMED,
    VENOMRAT,
    Family,
    Identity,
    Notary,
)
from ratwall_lab.contexts import (
    Version,
    client_context,
    rat_client_context,
    rat_server_context,
    server_context,
)
from ratwall_lab.servers import Handler, Server, idle_handler, page, web_handler
from ratwall_lab.shapes import AGENT, MQTT, Shape, rat_shape
from ratwall_lab.shapes import QUASAR as QUASAR_SHAPE
from ratwall_lab.topology import Lab

FAMILIES_OF_IP = (4, 6)
PRINTER_PAGE = b"toner low, tray 2 empty\n"


@dataclass(frozen=True, slots=True)
class Role:
    """One server of the internet, and how its clients speak to it."""

    name: str
    title: str
    index: int  # its address: lab.internet.address(index, family)
    ports: tuple[int, ...]
    server: ssl.SSLContext
    client: ssl.SSLContext
    handler: Handler
    shape: Shape | None = None  # None: a web server
    server_name: str | None = None  # None: by address, no SNI
    hostile: bool = False
    servers: list[Server] = field(default_factory=list)

    @property
    def port(self) -> int:
        """Its first port."""
        return self.ports[0]


def make_roles(notary: Notary) -> tuple[Role, ...]:
    """Return the whole cast, hostile roles first."""
    return (*_hostile(notary), *_honest(notary))


def _hostile(notary: Notary) -> tuple[Role, ...]:
    def rat(title: str, index: int, family: Family, version: Version, *ports: int) -> Role:
        shape = QUASAR_SHAPE if family is QUASAR else rat_shape(version)
        return Role(
            title.split()[0].lower(),
            f"{title} look-alike (TLS {version})",
            index,
            ports,
            rat_server_context(notary.rat(family), version),
            rat_client_context(version),
            idle_handler(shape),
            shape,
            hostile=True,
        )

    return (
        rat("AsyncRAT", 0, ASYNCRAT, "1.0", 6606, 7707, 8808),
        rat("DcRat", 1, DCRAT, "1.0", 8848),
        rat("VenomRAT", 2, VENOMRAT, "1.0", 4449),
        rat("Quasar", 3, QUASAR, "1.2", 4782, 1337),
        rat("Renamed AsyncRAT fork", 4, RENAMED, "1.2", 443),
    )


def _honest(notary: Notary) -> tuple[Role, ...]:
    root = notary.trust_root()
    site = notary.web_site("www.example.com")
    store = notary.web_site("files.example.org", kind="rsa2048", intermediates=2)
    trusting = client_context("1.2", "1.3", trust=root)
    body = page()

    def web(name: str, title: str, index: int, who: Identity) -> Role:
        context, handler = server_context(who), web_handler(body)
        return Role(name, title, index, (443,), context, trusting, handler, server_name=who.name)

    def idle(name: str, title: str, index: int, port: int, shape: Shape, who: Identity) -> Role:
        return Role(
            name,
            title,
            index,
            (port,),
            server_context(who),
            client_context(),
            idle_handler(shape),
            shape,
        )

    return (
        web("web", "web site www.example.com", 8, site),
        web("files", "web site with a chain of three", 9, store),
        Role(
            "nas",
            "self-issued appliance on an odd port",
            10,
            (5001,),
            server_context(notary.appliance()),
            client_context(),
            web_handler(body),
        ),
        Role(
            "printer",
            "old printer (TLS 1.0, self-issued, no name)",
            11,
            (8443,),
            server_context(notary.printer(), "1.0", "1.0"),
            client_context("1.0", "1.0"),
            web_handler(PRINTER_PAGE),
        ),
        idle(
            "mqtt", "MQTT broker with a heartbeat", 12, 8883, MQTT, notary.appliance("mqtt.local")
        ),
        idle("agent", "remote-support agent, by address", 13, 5721, AGENT, notary.appliance("rmm")),
    )


class Stage:
    """The cast at work in a lab: every server up on IPv4 and IPv6; a context manager."""

    def __init__(self, lab: Lab, roles: tuple[Role, ...]) -> None:
        self.lab, self.roles = lab, roles
        self._stack = ExitStack()

    def role(self, name: str) -> Role:
        """Return the role called `name`."""
        return next(role for role in self.roles if role.name == name)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for role in self.roles:
                for family in FAMILIES_OF_IP:
                    for port in role.ports:
                        address = self.lab.internet.address(role.index, family)
                        server = Server(
                            self.lab.internet,
                            address,
                            port,
                            role.server,
                            role.handler,
                            name=role.name,
                        )
                        role.servers.append(stack.enter_context(server))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()
        for role in self.roles:
            role.servers.clear()
