"""Somebody flushes the machine's rules, as a restart of its firewall service does."""

import time

from inline.conftest import Box, wait_for
from inline.traffic import meets
from ratwall_lab.certificates import Identity
from ratwall_lab.endpoint import End
from ratwall_lab.topology import Lab

BACK_SECONDS = 8.0  # looked for every 3 s, and a busy machine


def test_flushed_rules_are_put_in_again_with_what_was_blocked(
    lab: Lab, box: Box, rat: Identity
) -> None:
    server = lab.internet.address(3)
    assert meets(lab, rat, 6400) is End.RESET
    box.wait_blocked(server, 6400)

    lab.box.run(["nft", "flush", "ruleset"])
    flushed = time.monotonic()
    port = 6500
    while meets(lab, rat, port) is not End.RESET:
        assert time.monotonic() - flushed < BACK_SECONDS
        port += 1
    box.wait_line("the rules are in place again")
    box.wait_blocked(server, port)
    wait_for(
        lambda: meets(lab, rat, 6400) is End.REFUSED,
        15.0,
        lambda: f"the old block is not back: {box.cli('actions')}",
    )
