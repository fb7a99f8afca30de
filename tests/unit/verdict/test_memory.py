"""Verdict memory: what resumed sessions hide, and what must not be remembered."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratwall.errors import UsageError
from ratwall.verdict.judge import Judgement, Verdict
from ratwall.verdict.memory import LIFETIME_US, MemoryEntry, VerdictMemory

C2, OTHER = bytes((203, 0, 113, 7)), bytes.fromhex("20010db8" + "00" * 12)
NOW = 1_700_000_000_000_000
BAD, GOOD, NEW = "b" * 64, "a" * 64, "c" * 64

BLOCK = Judgement(Verdict.BLOCK, 100, "Quasar", ())
CLEAN = Judgement(Verdict.CLEAN, 0, None, ())
ALERT = Judgement(Verdict.ALERT, 65, None, ())


@pytest.fixture
def memory() -> VerdictMemory:
    memory = VerdictMemory()
    memory.learn(C2, 1337, BLOCK, BAD, NOW)
    return memory


def test_a_blocked_endpoint_is_recalled(memory: VerdictMemory) -> None:
    remembered = memory.recall(C2, 1337, resumed=True, has_sni=False, now=NOW + 5)
    assert remembered is not None
    assert (remembered.family, remembered.score, remembered.port) == ("Quasar", 100, 1337)
    assert remembered.learned == NOW
    assert remembered.certificate_sha256 == BAD


@pytest.mark.parametrize("resumed", [True, False])
@pytest.mark.parametrize("has_sni", [True, False])
def test_the_exact_endpoint_is_recalled_however_it_hides(
    resumed: bool, has_sni: bool, memory: VerdictMemory
) -> None:
    assert memory.recall(C2, 1337, resumed, has_sni, NOW) is not None


@pytest.mark.parametrize(
    ("resumed", "has_sni", "known"),
    [(True, False, True), (True, True, False), (False, False, False), (False, True, False)],
)
def test_another_port_is_recalled_only_for_a_nameless_resumption(
    resumed: bool, has_sni: bool, known: bool, memory: VerdictMemory
) -> None:
    """Windows keeps sessions by name, RATs hop ports; a web site on the address is neither."""
    assert (memory.recall(C2, 8808, resumed, has_sni, NOW) is not None) is known


def test_the_newest_port_is_the_one_named(memory: VerdictMemory) -> None:
    memory.learn(C2, 7707, BLOCK, BAD, NOW + 9)
    remembered = memory.recall(C2, 8808, resumed=True, has_sni=False, now=NOW + 10)
    assert remembered is not None
    assert remembered.port == 7707


def test_other_servers_are_not_recalled(memory: VerdictMemory) -> None:
    assert memory.recall(OTHER, 1337, resumed=True, has_sni=False, now=NOW) is None


@pytest.mark.parametrize("judgement", [CLEAN, ALERT])
def test_only_blocks_are_remembered(judgement: Judgement) -> None:
    memory = VerdictMemory()
    assert memory.learn(C2, 1337, judgement, GOOD, NOW) is None
    assert memory.entries() == []


def test_a_verdict_from_memory_does_not_renew_itself(memory: VerdictMemory) -> None:
    assert memory.learn(C2, 1337, BLOCK, None, NOW + 5) is None
    assert memory.entries()[0].learned == NOW


def test_a_hidden_certificate_does_not_clear_a_server(memory: VerdictMemory) -> None:
    assert memory.learn(C2, 1337, CLEAN, None, NOW + 5) is None
    assert memory.recall(C2, 1337, resumed=True, has_sni=False, now=NOW + 6) is not None


def test_another_harmless_certificate_withdraws_the_verdict(memory: VerdictMemory) -> None:
    entry = memory.learn(C2, 1337, CLEAN, GOOD, NOW + 5)
    assert entry is not None
    assert entry.withdrawn
    assert memory.recall(C2, 1337, resumed=True, has_sni=False, now=NOW + 6) is None
    assert memory.recall(C2, 8808, resumed=True, has_sni=False, now=NOW + 6) is None
    assert memory.learn(C2, 1337, CLEAN, GOOD, NOW + 7) is None, "nothing new to share"


def test_the_same_certificate_does_not_withdraw_it(memory: VerdictMemory) -> None:
    """A raised threshold or an allow changes what is done, not what was seen."""
    assert memory.learn(C2, 1337, ALERT, BAD, NOW + 5) is None
    assert memory.recall(C2, 1337, resumed=True, has_sni=False, now=NOW + 6) is not None


def test_a_withdrawn_server_that_shows_a_family_again_is_remembered(memory: VerdictMemory) -> None:
    memory.learn(C2, 1337, CLEAN, GOOD, NOW + 5)
    memory.learn(C2, 1337, BLOCK, NEW, NOW + 9)
    remembered = memory.recall(C2, 1337, resumed=True, has_sni=False, now=NOW + 10)
    assert remembered is not None
    assert remembered.learned == NOW + 9


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_a_verdict_has_a_lifetime(extra: int, memory: VerdictMemory) -> None:
    later = NOW + LIFETIME_US + extra
    known = memory.recall(C2, 1337, resumed=True, has_sni=False, now=later) is not None
    assert known is (extra <= 0)
    assert bool(memory.entries()) is (extra <= 0)


@pytest.mark.parametrize("count", [9, 10, 11])
def test_the_oldest_go_when_it_is_full(count: int) -> None:
    memory = VerdictMemory(capacity=10)
    for port in range(1, count + 1):
        memory.learn(C2, port, BLOCK, BAD, NOW + port)
    ports = [entry.port for entry in memory.entries()]
    assert ports == list(range(1, count + 1))[-10:]


def test_a_renewed_verdict_is_no_longer_the_oldest() -> None:
    memory = VerdictMemory(capacity=2)
    for port, when in ((1, 1), (2, 2), (1, 3), (3, 4)):
        memory.learn(C2, port, BLOCK, BAD, NOW + when)
    assert [entry.port for entry in memory.entries()] == [1, 3]


@pytest.mark.parametrize("capacity", [-1, 0])
def test_a_memory_of_nothing_is_refused(capacity: int) -> None:
    with pytest.raises(UsageError, match=f"capacity must be at least 1, found {capacity}"):
        VerdictMemory(capacity)


def test_forgets_an_endpoint_or_a_server(memory: VerdictMemory) -> None:
    memory.learn(C2, 7707, BLOCK, BAD, NOW)
    memory.learn(OTHER, 443, BLOCK, BAD, NOW)
    assert memory.forget(C2, 9999) == 0
    assert memory.forget(C2, 1337) == 1
    assert memory.recall(C2, 1337, resumed=False, has_sni=False, now=NOW) is None
    memory.learn(C2, 1337, BLOCK, BAD, NOW)
    assert memory.forget(C2) == 2
    assert [entry.server for entry in memory.entries()] == [OTHER]
    assert memory.forget(C2) == 0


def test_others_learn_what_one_has_learned(memory: VerdictMemory) -> None:
    other = VerdictMemory()
    other.merge(memory.entries())
    assert other.recall(C2, 8808, resumed=True, has_sni=False, now=NOW) is not None


def test_the_newer_of_two_entries_stays(memory: VerdictMemory) -> None:
    old = memory.entries()
    withdrawn = memory.learn(C2, 1337, CLEAN, GOOD, NOW + 5)
    assert withdrawn is not None
    memory.merge(old)
    assert memory.recall(C2, 1337, resumed=True, has_sni=False, now=NOW + 6) is None
    other = VerdictMemory()
    other.merge(old)
    other.merge([withdrawn])
    assert other.recall(C2, 1337, resumed=True, has_sni=False, now=NOW + 6) is None


@pytest.mark.parametrize("server", [C2, OTHER])
def test_entries_survive_json(server: bytes) -> None:
    entry = MemoryEntry(server, 443, None, 85, BAD, NOW, withdrawn=True)
    assert MemoryEntry.from_dict(json.loads(json.dumps(entry.as_dict()))) == entry


@pytest.mark.parametrize("broken", [{}, {"server": "nowhere"}, {"port": None}])
def test_an_unreadable_entry_is_an_error(broken: dict[str, object]) -> None:
    entry = MemoryEntry(C2, 443, None, 85, BAD, NOW).as_dict()
    with pytest.raises(UsageError, match="verdict memory: unreadable entry"):
        MemoryEntry.from_dict({**entry, **broken} if broken else {})


ports = st.integers(1, 6)
deeds = st.lists(
    st.tuples(
        st.sampled_from(["learn", "clean", "forget", "forget all", "recall", "merge"]),
        st.sampled_from([C2, OTHER]),
        ports,
        st.integers(0, 2 * LIFETIME_US),
    ),
    max_size=60,
)


@given(deeds)
def test_whatever_happens_it_stays_bounded_and_sane(
    deeds: list[tuple[str, bytes, int, int]],
) -> None:
    memory, other = VerdictMemory(capacity=4), VerdictMemory(capacity=4)
    for deed, server, port, when in deeds:
        if deed == "learn":
            memory.learn(server, port, BLOCK, BAD, when)
        elif deed == "clean":
            memory.learn(server, port, CLEAN, GOOD, when)
        elif deed == "merge":
            memory.merge(other.entries())
            other.merge(memory.entries())
        elif deed.startswith("forget"):
            memory.forget(server, port if deed == "forget" else None)
        else:
            found = memory.recall(server, port, resumed=True, has_sni=False, now=when)
            assert found is None or when - found.learned <= LIFETIME_US
        assert len(memory.entries()) <= 4
        keys = {(entry.server, entry.port) for entry in memory.entries()}
        assert len(keys) == len(memory.entries())


def test_a_clock_that_is_set_moves_what_was_learned_by_it() -> None:
    """What is older was learned by another clock, what is newer by this one since it was set."""
    memory, day = VerdictMemory(), 24 * 3600 * 1_000_000
    for port, learned in ((1, NOW - 1), (2, NOW), (3, NOW + 5), (4, NOW + 6)):
        memory.learn(C2, port, BLOCK, BAD, learned)
    moved = memory.clock_set(day, NOW, NOW + 5)
    assert [(entry.port, entry.learned - day) for entry in moved] == [(2, NOW), (3, NOW + 5)]
    held = [entry.learned - NOW for entry in memory.entries()]
    assert held == [-1, day, day + 5, 6]
