"""Somebody flushes the machine's rules, as a restart of its firewall service does."""

from inline.conftest import Box, wait_for
from inline.traffic import meets
from ratwall_lab.certificates import Identity
from ratwall_lab.endpoint import PATIENCE_SECONDS, End
from ratwall_lab.topology import Lab


def test_flushed_rules_are_put_in_again_with_what_was_blocked(
    lab: Lab, box: Box, rat: Identity
) -> None:
    server = lab.internet.address(3)
    assert meets(lab, rat, 6400) is End.RESET
    box.wait_blocked(server, 6400)

    lab.box.run(["nft", "flush", "ruleset"])
    tried = []

    def cut() -> bool:
        tried.append(6500 + len(tried))
        return meets(lab, rat, tried[-1]) is End.RESET

    wait_for(cut, PATIENCE_SECONDS, lambda: "\n".join(box.output))
    box.wait_line("the rules are in place again")
    box.wait_blocked(server, tried[-1])
    wait_for(
        lambda: meets(lab, rat, 6400) is End.REFUSED,
        PATIENCE_SECONDS,
        lambda: f"the old block is not back: {box.cli('actions')}",
    )
