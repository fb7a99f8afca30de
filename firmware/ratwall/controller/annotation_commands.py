"""The commands that only say what a person knows: a note on an incident, a device's name.

They change no verdict and touch no kernel. A name stands for one device: whoever quarantines by it
must not mean another.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Any

from ratwall.controller.blocks import RefusedError
from ratwall.controller.messages import Fields
from ratwall.controller.service import Service
from ratwall.ledger.models import Device, Incident

ID_LIMIT = 2**63 - 1
NOTE_LIMIT = 2000  # characters: a page of a notebook
NAME_LIMIT = 64  # characters: what a column of a page has room for
HARDWARE_ADDRESS = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}")

Answer = dict[str, Any]


class AnnotationCommands:
    """One method a command; `commands` lists them."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.commands: dict[str, Callable[[Fields, str], Answer]] = {
            "note": self._note,
            "name": self._name,
        }

    def _note(self, fields: Fields, author: str) -> Answer:
        service = self._service
        number = fields.integer("incident", 1, ID_LIMIT)
        text = (fields.optional_text("text", NOTE_LIMIT) or "").strip()
        if not all(char.isprintable() or char == "\n" for char in text):
            raise fields.error("text", "a text without control characters")
        incident = service.find_incident(number)
        if incident is None:
            raise RefusedError(f"there is no incident {number}")
        incident.note = text or None
        service.writer.update(Incident, number, {"note": incident.note})
        done = "note written" if text else "note taken away"
        service.writer.audit(service.clock(), author, "note", f"incident {number}: {done}")
        return {"incident": number, "note": incident.note}

    def _name(self, fields: Fields, author: str) -> Answer:
        service = self._service
        number = fields.integer("device", 1, ID_LIMIT)
        name = " ".join((fields.optional_text("name", NAME_LIMIT) or "").split())
        if not name.isprintable() or _is_address(name):
            raise fields.error("name", "a name of letters and digits that is no address")
        service.flush()  # a device of a moment ago is looked up in the ledger
        device = service.ledger.row(Device.select().where(Device.id == number))
        if device is None:
            raise RefusedError(f"there is no device {number}")
        if name:
            same = Device.select().where((Device.name == name) & (Device.id != number))
            other = service.ledger.row(same)
            if other is not None:
                raise RefusedError(
                    f"name: {other['address']} is called {name!r} already; choose another name"
                )
        service.writer.update(Device, number, {"name": name or None})
        called = f"is called {name!r}" if name else "has no name any more"
        service.writer.audit(service.clock(), author, "name", f"{device['address']} {called}")
        return {"device": number, "name": name or None}


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return HARDWARE_ADDRESS.fullmatch(text) is not None
    return True
