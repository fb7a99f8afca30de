"""What an observer makes of real conversations, however they are cut, and of broken ones."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratwall.wire.tls.conversation import ALERT_LIMIT, Conversation, ConversationState
from ratwall.wire.tls.facts import Anomaly
from ratwall.wire.tls.handshake import (
    Extension,
    push_client_hello,
    push_server_hello,
    push_ssl2_client_hello,
)
from ratwall.wire.tls.messages import HELLO_LIMIT, LEAF_LIMIT
from ratwall.wire.tls.registry import ContentType, HandshakeType
from unit.wire import handshakes
from unit.wire.handshakes import (
    CLIENT_HELLO,
    HOST,
    SERVER_HELLO,
    certificate_message,
    message,
    observe,
    papers,
    records,
)

CLIENT, SERVER = True, False
HELLO = message(HandshakeType.CLIENT_HELLO, push_client_hello(CLIENT_HELLO))
ANSWER = message(HandshakeType.SERVER_HELLO, push_server_hello(SERVER_HELLO))
DONE = message(HandshakeType.SERVER_HELLO_DONE, b"")
CHANGE_CIPHER = records(b"\1", ContentType.CHANGE_CIPHER_SPEC)


def said(*fragments: bytes, client: bytes = HELLO) -> Conversation:
    """A conversation in which the client said hello and the server answered with messages."""
    conversation = Conversation()
    conversation.receive(CLIENT, records(client))
    for fragment in fragments:
        conversation.receive(SERVER, records(fragment))
    return conversation


# -- real conversations -----------------------------------------------------------------------


@pytest.mark.parametrize("version", ["TLS 1.0", "TLS 1.1", "TLS 1.2"])
def test_a_full_handshake_shows_its_certificate(version: str) -> None:
    conversation = observe(handshakes.full(version))
    facts = conversation.facts
    assert conversation.state == ConversationState.CERTIFICATE
    assert facts.version_name == version
    assert facts.sni == HOST
    assert facts.certificate_der == papers().der
    assert facts.certificate is not None
    assert facts.certificate.sha256 == hashlib.sha256(papers().der).hexdigest()
    assert facts.chain_length == 1
    assert not facts.resumed
    assert not facts.anomalies
    assert not facts.client_certificate


def test_tls13_hides_its_certificate() -> None:
    conversation = observe(handshakes.full("TLS 1.3"))
    assert conversation.state == ConversationState.HIDDEN
    assert conversation.facts.version_name == "TLS 1.3"
    assert not conversation.facts.resumed
    assert conversation.facts.certificate_der is None


@pytest.mark.parametrize("tickets", [True, False])
def test_a_resumed_session_is_recognised(tickets: bool) -> None:
    conversation = observe(handshakes.resumed(tickets))
    assert conversation.state == ConversationState.HIDDEN
    assert conversation.facts.resumed
    assert not conversation.facts.anomalies


def test_a_retried_hello_is_one_conversation_with_the_second_server_hello() -> None:
    conversation = observe(handshakes.retried())
    facts = conversation.facts
    assert conversation.state == ConversationState.HIDDEN
    assert facts.hello_retry
    assert facts.server_hello is not None
    assert not facts.server_hello.is_hello_retry_request


def test_a_suite_without_a_certificate_hides_nothing_it_has() -> None:
    conversation = observe(handshakes.anonymous())
    assert conversation.state == ConversationState.HIDDEN
    assert not conversation.facts.resumed


def test_a_client_certificate_is_not_the_servers() -> None:
    facts = observe(handshakes.with_client_certificate()).facts
    assert facts.client_certificate
    assert facts.certificate_der == papers().der
    assert facts.chain_length == 1


def test_an_alert_is_kept_with_its_name_and_sender() -> None:
    assert observe(handshakes.refused()).facts.alerts == [("fatal", "unknown_ca", True)]


REAL = {
    **{version: handshakes.full(version) for version in handshakes.VERSIONS},
    "resumed": handshakes.resumed(tickets=True),
    "retried": handshakes.retried(),
    "anonymous": handshakes.anonymous(),
    "client certificate": handshakes.with_client_certificate(),
    "refused": handshakes.refused(),
}


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("size", [1, 2, 5, 7, 536])
def test_the_cut_of_the_bytes_changes_nothing(name: str, size: int) -> None:
    assert observe(REAL[name], size).facts == observe(REAL[name]).facts


@pytest.mark.parametrize("name", REAL)
def test_cut_off_anywhere_it_neither_raises_nor_invents(name: str) -> None:
    """Every prefix of what was said leads to a state that only moves forward."""
    whole = observe(REAL[name])
    conversation = Conversation()
    last = ConversationState.UNKNOWN
    for from_client, flight in REAL[name]:
        for position in range(len(flight)):
            conversation.receive(from_client, flight[position : position + 1])
            assert conversation.state >= last
            last = conversation.state
    assert conversation.facts == whole.facts
    assert conversation.state == whole.state


# -- messages and records cut across one another ----------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 4, 100, 1 << 14])
def test_messages_split_over_records_and_many_in_one(size: int) -> None:
    flight = ANSWER + certificate_message(papers().der, b"issuer", b"root") + DONE
    conversation = Conversation()
    conversation.receive(CLIENT, records(HELLO, size=size))
    conversation.receive(SERVER, records(flight, size=size))
    assert conversation.facts.certificate_der == papers().der
    assert conversation.facts.chain_length == 3
    assert conversation.facts.server_hello == SERVER_HELLO
    assert conversation.facts.sni == HOST
    assert not conversation.facts.anomalies


def test_the_chain_counts_two_before_its_second_certificate_has_come() -> None:
    """The verdict falls when the leaf is whole; that others follow is known by then."""
    flight = records(ANSWER + certificate_message(papers().der, b"issuer"))
    conversation = said()
    conversation.receive(SERVER, flight[: -len(b"\0\0\6issuer")])
    assert conversation.state == ConversationState.CERTIFICATE
    assert conversation.facts.chain_length == 2


def test_an_ssl2_hello_is_read() -> None:
    body = push_ssl2_client_hello(CLIENT_HELLO)
    conversation = Conversation()
    for byte in (0x8000 | len(body)).to_bytes(2, "big") + body:
        conversation.receive(CLIENT, bytes((byte,)))
    hello = conversation.facts.client_hello
    assert hello is not None
    assert hello.is_ssl2
    assert hello.cipher_suites == CLIENT_HELLO.cipher_suites
    assert conversation.state == ConversationState.HANDSHAKE
    assert conversation.facts.ja3 is None
    conversation.receive(SERVER, records(ANSWER + certificate_message(papers().der)))
    assert conversation.state == ConversationState.CERTIFICATE


# -- resumption must not be mistaken ----------------------------------------------------------


def test_an_echoed_session_id_alone_is_no_resumption() -> None:
    assert said(ANSWER).state == ConversationState.HANDSHAKE
    conversation = said(ANSWER, certificate_message(papers().der))
    assert conversation.state == ConversationState.CERTIFICATE
    assert not conversation.facts.resumed


def test_a_change_of_cipher_before_a_certificate_is_a_resumption() -> None:
    conversation = said(ANSWER)
    conversation.receive(SERVER, CHANGE_CIPHER)
    assert (conversation.state, conversation.facts.resumed) == (ConversationState.HIDDEN, True)


def test_a_new_ticket_comes_with_a_resumption_too() -> None:
    conversation = said(ANSWER + message(HandshakeType.NEW_SESSION_TICKET, bytes(170)))
    assert conversation.state == ConversationState.HANDSHAKE
    conversation.receive(SERVER, CHANGE_CIPHER)
    assert conversation.facts.resumed


def test_a_clients_change_of_cipher_says_nothing() -> None:
    conversation = said(ANSWER)
    conversation.receive(CLIENT, CHANGE_CIPHER)
    assert conversation.state == ConversationState.HANDSHAKE


def test_what_follows_a_change_of_cipher_is_not_read_as_messages() -> None:
    conversation = said(ANSWER)
    conversation.receive(SERVER, CHANGE_CIPHER + records(certificate_message(papers().der)))
    assert conversation.state == ConversationState.HIDDEN
    assert conversation.facts.certificate_der is None


# -- size ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "kept"), [(LEAF_LIMIT - 1, True), (LEAF_LIMIT, True), (LEAF_LIMIT + 1, False)]
)
def test_a_leaf_is_kept_up_to_its_cap(length: int, kept: bool) -> None:
    conversation = said(ANSWER + certificate_message(bytes(length), b"issuer") + DONE)
    facts = conversation.facts
    assert conversation.state == ConversationState.CERTIFICATE
    assert (facts.certificate_der == bytes(length)) == kept
    assert (Anomaly.OVERSIZED_HANDSHAKE in facts.anomalies) == (not kept)
    assert facts.certificate_error


@pytest.mark.parametrize(
    ("length", "read"), [(HELLO_LIMIT - 1, True), (HELLO_LIMIT, True), (HELLO_LIMIT + 1, False)]
)
def test_a_client_hello_is_read_up_to_its_cap(length: int, read: bool) -> None:
    empty = len(push_client_hello(padded_hello(0)))
    body = push_client_hello(padded_hello(length - empty))
    assert len(body) == length
    facts = said(client=message(HandshakeType.CLIENT_HELLO, body)).facts
    assert (facts.client_hello is not None) == read
    assert (Anomaly.OVERSIZED_HANDSHAKE in facts.anomalies) == (not read)


def padded_hello(padding: int) -> handshakes.ClientHello:
    """A ClientHello whose cipher list and an extension make up any length."""
    suites = min(padding, 0x8000) // 2
    return handshakes.ClientHello(
        0x0301,
        0x0303,
        bytes(32),
        b"",
        (0xC02F,) * suites,
        (0,),
        (Extension(21, bytes(padding - 2 * suites)),),
    )


def test_a_server_hello_with_a_60_kb_extension_and_a_leaf_with_20_kb_are_read() -> None:
    hello = handshakes.ServerHello(
        0x0303, bytes(32), b"", 0xC02F, 0, (Extension(0x1234, bytes(60_000)),)
    )
    leaf = papers().der + bytes(20_000)
    flight = message(HandshakeType.SERVER_HELLO, push_server_hello(hello))
    conversation = said(flight + certificate_message(leaf) + DONE)
    assert conversation.facts.server_hello == hello
    assert conversation.facts.certificate_der == leaf
    assert not conversation.facts.anomalies


def test_a_long_chain_costs_nothing() -> None:
    flight = ANSWER + certificate_message(papers().der, *[bytes(60_000)] * 100)
    conversation = said(flight)
    assert conversation.facts.chain_length == 101


def test_alerts_are_bounded() -> None:
    conversation = said()
    conversation.receive(SERVER, records(b"\1\x70", ContentType.ALERT) * (ALERT_LIMIT + 1))
    assert conversation.facts.alerts == [("warning", "unrecognized_name", False)] * ALERT_LIMIT


# -- what makes no sense -----------------------------------------------------------------------


@pytest.mark.parametrize("text", [b"GET / HTTP/1.1\r\n", b"SSH-2.0-OpenSSH\r\n", b"\0\0\0\x08"])
def test_other_protocols_are_not_tls(text: bytes) -> None:
    conversation = Conversation()
    conversation.receive(CLIENT, text)
    assert conversation.state == ConversationState.NOT_TLS
    assert not conversation.carried_tls
    assert not conversation.facts.anomalies


def test_a_server_that_answers_tls_with_text_is_not_tls() -> None:
    conversation = said()
    conversation.receive(SERVER, b"HTTP/1.1 400 Bad Request\r\n")
    assert conversation.state == ConversationState.NOT_TLS


def test_a_server_that_speaks_tls_corrects_a_client_that_did_not() -> None:
    conversation = Conversation()
    conversation.receive(CLIENT, b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n")
    conversation.receive(SERVER, records(ANSWER + certificate_message(papers().der)))
    assert conversation.state == ConversationState.CERTIFICATE


@pytest.mark.parametrize("kind", [ContentType.APPLICATION_DATA, ContentType.CHANGE_CIPHER_SPEC])
def test_a_connection_picked_up_in_its_middle_is_tls_without_a_handshake(kind: int) -> None:
    conversation = Conversation()
    conversation.receive(CLIENT, records(bytes(40), kind))
    assert conversation.state == ConversationState.NOT_TLS
    assert conversation.carried_tls


def test_garbage_after_a_hello_is_an_anomaly() -> None:
    conversation = said(ANSWER)
    conversation.receive(SERVER, b"garbage")
    assert conversation.state == ConversationState.NOT_TLS
    assert conversation.facts.anomalies == {Anomaly.MALFORMED_HANDSHAKE}


@pytest.mark.parametrize(
    ("flight", "anomaly"),
    [
        (certificate_message(), Anomaly.EMPTY_CERTIFICATE),
        (certificate_message(b""), Anomaly.UNREADABLE_CERTIFICATE),
        (certificate_message(b"\x30\x03\x02\x01"), Anomaly.UNREADABLE_CERTIFICATE),
        (certificate_message(bytes(LEAF_LIMIT + 1)), Anomaly.OVERSIZED_HANDSHAKE),
    ],
)
def test_a_certificate_that_cannot_be_judged_is_decided_with_a_reason(
    flight: bytes, anomaly: Anomaly
) -> None:
    conversation = said(ANSWER + flight)
    assert conversation.state == ConversationState.CERTIFICATE
    assert conversation.facts.anomalies == {anomaly}
    assert conversation.facts.certificate_error


@pytest.mark.parametrize(
    "body", [b"\0\0", b"\0\0\4\0\0\0", b"\0\0\4\0\0\2x", b"\0\0\2\0\0", b"\xff\xff\xff"]
)
def test_certificate_lengths_that_contradict_are_an_anomaly(body: bytes) -> None:
    conversation = said(ANSWER + message(HandshakeType.CERTIFICATE, body))
    assert Anomaly.MALFORMED_HANDSHAKE in conversation.facts.anomalies


def test_bytes_behind_a_certificate_list_do_not_shift_the_next_message() -> None:
    entry = len(papers().der).to_bytes(3, "big") + papers().der
    body = len(entry).to_bytes(3, "big") + entry + b"behind"
    other = certificate_message(papers("Other").der)
    conversation = said(ANSWER + message(HandshakeType.CERTIFICATE, body) + DONE + other)
    assert conversation.facts.certificate_der == papers().der
    assert conversation.facts.anomalies == {Anomaly.CHANGED_CERTIFICATE}


def test_a_second_different_certificate_is_an_anomaly() -> None:
    conversation = said(ANSWER + certificate_message(papers().der) + DONE)
    conversation.receive(SERVER, records(certificate_message(papers().der)))
    assert not conversation.facts.anomalies
    conversation.receive(SERVER, records(certificate_message(papers("Other").der)))
    assert conversation.facts.anomalies == {Anomaly.CHANGED_CERTIFICATE}
    assert conversation.facts.certificate_der == papers().der


@pytest.mark.parametrize("kind", [HandshakeType.CLIENT_HELLO, HandshakeType.SERVER_HELLO])
def test_an_unreadable_hello_is_an_anomaly_and_hides_no_certificate(kind: int) -> None:
    conversation = Conversation()
    conversation.receive(kind == HandshakeType.CLIENT_HELLO, records(message(kind, b"\3\3")))
    conversation.receive(SERVER, records(certificate_message(papers().der)))
    assert conversation.facts.anomalies == {Anomaly.MALFORMED_HANDSHAKE}
    assert conversation.state == ConversationState.CERTIFICATE


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=200)), max_size=8))
@settings(max_examples=300)
def test_arbitrary_bytes_never_raise(pieces: list[tuple[bool, bytes]]) -> None:
    conversation = Conversation()
    for from_client, data in pieces:
        conversation.receive(from_client, data)


@given(
    st.sampled_from(sorted(REAL)),
    st.integers(0, 1 << 30),
    st.integers(1, 255),
    st.integers(1, 2000),
)
@settings(max_examples=300)
def test_a_real_conversation_with_one_byte_changed_never_raises(
    name: str, where: int, change: int, size: int
) -> None:
    flights = [(who, bytearray(flight)) for who, flight in REAL[name]]
    _, flight = flights[where % len(flights)]
    flight[(where >> 4) % len(flight)] ^= change
    observe(tuple((who, bytes(flight)) for who, flight in flights), size)


@pytest.mark.parametrize("size", [1, 1 << 16])
def test_nothing_is_read_behind_a_hello_of_tls_13_in_its_record(size: int) -> None:
    """Found by the fuzzer: how the record was cut decided whether the rest of it was read."""
    record = handshakes.full("TLS 1.3")[1][1]
    hello = record[5 : 5 + int.from_bytes(record[3:5], "big")]
    flight = handshakes.records(hello + handshakes.certificate_message(b"no certificate"))
    conversation = handshakes.observe(((False, flight),), size)
    assert conversation.state is ConversationState.HIDDEN
    assert conversation.facts.certificate_der is None
    assert not conversation.facts.anomalies
