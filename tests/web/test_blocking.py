"""The form that blocks a server: what it asks for, and what must not be missing in it."""

import pytest

from ratwall_web.blocking import REASON, Block, asked_for

DEVICE = {"address": "192.168.1.10", "name": "Till"}
GOOD = {"who": "device", "what": "port", "length": "day", "sure": "yes"}


def asked(**changes: str) -> Block | str:
    form = {**GOOD, **changes}
    return asked_for(form, DEVICE, "203.0.113.7", 443, "", 5)


def test_a_port_for_one_device() -> None:
    found = asked()
    assert isinstance(found, Block)
    assert found.arguments == {
        "server": "203.0.113.7",
        "server_port": 443,
        "device": "192.168.1.10",
        "seconds": 86_400,
        "reason": REASON,
        "incident": 5,
    }
    assert found.done == "203.0.113.7:443 is refused to Till for 1 day."


def test_every_port_for_everybody() -> None:
    found = asked(who="everyone", what="server", length="month")
    assert isinstance(found, Block)
    assert (found.arguments["server_port"], found.arguments["device"]) == (None, None)
    assert found.done == "203.0.113.7, on every port, is refused to every device for 30 days."


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"who": "nobody"}, "Choose for whom"),
        ({"what": "certificate"}, "Choose for whom"),
        ({"length": "always"}, "Choose for how long"),
        ({"length": ""}, "Choose for how long"),
        ({"sure": ""}, "Tick the box to have 203.0.113.7:443 refused."),
    ],
)
def test_what_is_missing_is_said(changes: dict[str, str], complaint: str) -> None:
    found = asked(**changes)
    assert isinstance(found, str)
    assert found.startswith(complaint)
