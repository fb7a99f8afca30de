"""What feeds list, in the inline decision: on the fast path and on the slow one alike."""

from typing import Any

import pytest

from ratwall.feeds.index import EMPTY, Index, Listed, index_bytes
from ratwall.feeds.indicator import Indicator, Kind
from ratwall.inspector.inspector import Inspector, Report
from ratwall.kernel.marks import FlowClass
from ratwall.settings.schema import Rules
from ratwall.signatures.evidence import Evidence
from ratwall.verdict.judge import Thresholds, judge
from ratwall.verdict.memory import VerdictMemory
from ratwall.wire.x509.certificate import parse_certificate
from ratwall_lab.flight import in_order
from unit.inspector.test_inspector import MARKS, PACKS, Clock, Story, play, recording
from unit.signatures.seen import HTTPS, asyncrat_hello, facts, hello

# The second message: its header, the length of the list, the length of the first entry.
MESSAGE = recording("web").messages[1]
WEB = parse_certificate(MESSAGE[10 : 10 + int.from_bytes(MESSAGE[7:10])])


@pytest.fixture(params=[True, False], ids=["fast", "slow"])
def desk(request: pytest.FixtureRequest) -> Any:
    return Desk(fast=request.param)


class Desk:
    def __init__(self, *, fast: bool) -> None:
        self.clock = Clock()
        self.reports: list[Report] = []
        self.memory = VerdictMemory()
        self.inspector = Inspector(
            PACKS,
            Thresholds(),
            MARKS,
            enforce=True,
            memory=self.memory,
            report=self.reports.append,
            clock=self.clock,
            fast=fast,
        )
        self.port = 50_000

    def publish(self, *indicators: Indicator) -> None:
        made = index_bytes([Listed("own", self.clock(), indicators, ())], self.clock())
        self.inspector.look_up_in(Index(made))

    def visit(self) -> list[Any]:
        """A page of shop.example is fetched."""
        self.port += 1
        story = Story(self.inspector, port=self.port)
        return play(story, in_order(recording("web").flight(), 700), "web")


def last(releases: list[Any]) -> FlowClass:
    return MARKS.class_of(releases[-1].mark)


@pytest.mark.parametrize(
    "listed",
    [
        Indicator(Kind.CERTIFICATE_SHA1, WEB.sha1, 0, "AsyncRAT"),
        Indicator(Kind.CERTIFICATE_SHA256, WEB.sha256, 0, "AsyncRAT"),
    ],
)
def test_a_listed_certificate_is_cut_and_remembered(desk: Desk, listed: Indicator) -> None:
    assert last(desk.visit()) is FlowClass.WATCH
    desk.publish(listed)
    releases = desk.visit()
    assert last(releases) is FlowClass.BLOCK
    assert not releases[-1].mark & MARKS.alone
    report = desk.reports[-1]
    assert (report["verdict"], report["family"], report["proxied"]) == ("block", "AsyncRAT", False)
    assert [entry.port for entry in desk.memory.entries()] == [6606]


def test_a_listed_name_is_cut_alone_and_not_remembered(desk: Desk) -> None:
    desk.publish(Indicator(Kind.NAME, "shop.example"))
    releases = desk.visit()
    assert last(releases) is FlowClass.BLOCK
    assert releases[-1].mark & MARKS.alone, "the server is not put on the block list"
    assert desk.reports[-1]["proxied"]
    assert desk.memory.entries() == []


def test_where_the_rule_only_tells_nothing_is_cut(desk: Desk) -> None:
    desk.publish(Indicator(Kind.NAME, "shop.example"))
    desk.inspector.rules = Rules(monitor=("feed.name",))
    assert last(desk.visit()) is not FlowClass.BLOCK
    assert (desk.reports[-1]["verdict"], desk.reports[-1]["enforced"]) == ("block", False)


def test_an_allowed_certificate_passes_whatever_is_listed(desk: Desk) -> None:
    desk.publish(Indicator(Kind.CERTIFICATE_SHA1, WEB.sha1), Indicator(Kind.NAME, "shop.example"))
    desk.inspector.allowed_certificates = frozenset({(WEB.sha256, None)})
    assert last(desk.visit()) is FlowClass.EXEMPT


def test_a_list_counts_for_what_is_like_a_connection_judged_before(desk: Desk) -> None:
    for _ in range(3):
        assert last(desk.visit()) is FlowClass.WATCH
    desk.publish(Indicator(Kind.NAME, "shop.example"))
    assert last(desk.visit()) is FlowClass.BLOCK
    desk.inspector.look_up_in(EMPTY)
    assert last(desk.visit()) is FlowClass.WATCH


def test_a_fingerprint_that_the_packs_know_counts_once() -> None:
    seen = facts(client=asyncrat_hello())
    assert seen.ja3 is not None
    said = Evidence("feed.fingerprint", 15, "listed", None)
    plain = judge(PACKS, Thresholds(), seen, HTTPS, None, 0)
    assert judge(PACKS, Thresholds(), seen, HTTPS, None, 0, listed=(said,)).score == plain.score
    # The packs say of this one only that it names no server, which is worth less.
    other = judge(PACKS, Thresholds(), facts(client=hello()), HTTPS, None, 0, listed=(said,))
    assert other.score == 15
    named = judge(PACKS, Thresholds(), facts(client=hello(name=True)), HTTPS, None, 0)
    with_it = facts(client=hello(name=True))
    assert judge(PACKS, Thresholds(), with_it, HTTPS, None, 0, listed=(said,)).score == (
        named.score + 15
    )
