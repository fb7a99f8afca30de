"""The hello messages of TLS as frozen dataclasses, with the functions that pull and push them.

Nothing is normalised: unknown numbers, GREASE and the order of everything stay as they were on the
wire, because fingerprints are made of them. An extension that cannot be read makes its property
None (or empty), never an error: what the peers make of it is their affair.

Bodies come without the four bytes of handshake header (type, length).
"""

from dataclasses import dataclass
from struct import Struct, unpack_from

from ratwall.wire.buffer import Buffer, Writer
from ratwall.wire.errors import ParseError
from ratwall.wire.tls.registry import ExtensionType, ProtocolVersion, is_early_draft

# SHA-256 of "HelloRetryRequest": the ServerHello random that makes it one (RFC 8446 §4.1.3).
HELLO_RETRY_RANDOM = bytes.fromhex(
    "cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c"
)
RANDOM_LENGTH = 32
SESSION_ID_LIMIT = 32  # RFC 5246 §7.4.1.2: opaque SessionID<0..32>
_HOST_NAME = 0  # RFC 6066 §3: NameType host_name
_SSL2_CLIENT_HELLO = 1
_BLOCK_LENGTH = 2  # bytes of the length before the extensions
_EXTENSION_HEADER = Struct(">HH")  # type, length


@dataclass(frozen=True, slots=True)
class Extension:
    """One hello extension, content unread."""

    type: int
    data: bytes


def _content(extensions: tuple[Extension, ...], wanted: int) -> bytes | None:
    for extension in extensions:
        if extension.type == wanted:
            return extension.data
    return None


@dataclass(frozen=True, slots=True)
class ClientHello:
    """ClientHello (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2), or an SSL 2.0 hello in its terms.

    `record_version` is the version of the record that began it; 0x0002 marks the SSL 2.0 form,
    whose cipher kinds are 24-bit and whose `random` is the challenge.
    """

    record_version: int
    legacy_version: int
    random: bytes
    session_id: bytes
    cipher_suites: tuple[int, ...]
    compression_methods: tuple[int, ...]
    extensions: tuple[Extension, ...]
    unread: bytes = b""  # the whole extension block, when its lengths contradict one another

    def extension(self, wanted: int) -> bytes | None:
        """Content of the first extension of that type, or None when it is absent."""
        return _content(self.extensions, wanted)

    def _uint16_list(self, wanted: int, length_bytes: int = 2) -> tuple[int, ...]:
        data = _content(self.extensions, wanted) or b""
        length = int.from_bytes(data[:length_bytes], "big")
        block = data[length_bytes : length_bytes + length]
        numbers = len(block) // 2  # of a list cut short, what there is of it
        values: tuple[int, ...] = unpack_from(f">{numbers}H", block)
        return values

    @property
    def is_ssl2(self) -> bool:
        """Whether it came in the SSL 2.0 form, which has no extensions."""
        return self.record_version == ProtocolVersion.SSL_2_0

    @property
    def server_name(self) -> str | None:
        """The host name asked for (RFC 6066 §3), or None; bytes beyond ASCII shown escaped."""
        data = _content(self.extensions, ExtensionType.SERVER_NAME)
        if not data:
            return None
        try:
            names = Buffer(data).pull_block(2)
            while not names.eof():
                kind = names.pull_uint8()
                name = names.pull_opaque(2)
                if kind == _HOST_NAME and name:
                    return name.decode("ascii", "backslashreplace")
        except ParseError:
            return None
        return None

    @property
    def supported_versions(self) -> tuple[int, ...] | None:
        """Versions offered by extension (RFC 8446 §4.2.1), GREASE kept; None when absent."""
        if _content(self.extensions, ExtensionType.SUPPORTED_VERSIONS) is None:
            return None
        return self._uint16_list(ExtensionType.SUPPORTED_VERSIONS, length_bytes=1)

    @property
    def groups(self) -> tuple[int, ...]:
        """Named groups offered (RFC 8446 §4.2.7), GREASE kept."""
        return self._uint16_list(ExtensionType.SUPPORTED_GROUPS)

    @property
    def point_formats(self) -> tuple[int, ...]:
        """EC point formats offered (RFC 8422 §5.1.2)."""
        data = _content(self.extensions, ExtensionType.EC_POINT_FORMATS)
        if data is None:
            return ()
        try:
            return tuple(Buffer(data).pull_opaque(1))
        except ParseError:
            return ()

    @property
    def signature_algorithms(self) -> tuple[int, ...]:
        """Signature algorithms offered (RFC 8446 §4.2.3), in order."""
        return self._uint16_list(ExtensionType.SIGNATURE_ALGORITHMS)

    @property
    def alpn(self) -> tuple[bytes, ...]:
        """Application protocols offered (RFC 7301 §3.1), in order."""
        data = _content(self.extensions, ExtensionType.ALPN)
        if data is None:
            return ()
        protocols: list[bytes] = []
        try:
            names = Buffer(data).pull_block(2)
            while not names.eof():
                protocols.append(names.pull_opaque(1))
        except ParseError:
            return tuple(protocols)
        return tuple(protocols)


@dataclass(frozen=True, slots=True)
class ServerHello:
    """ServerHello (RFC 8446 §4.1.3, RFC 5246 §7.4.1.3); a HelloRetryRequest is one too."""

    legacy_version: int
    random: bytes
    session_id: bytes
    cipher_suite: int
    compression_method: int
    extensions: tuple[Extension, ...]
    unread: bytes = b""  # the whole extension block, when its lengths contradict one another

    def extension(self, wanted: int) -> bytes | None:
        """Content of the first extension of that type, or None when it is absent."""
        return _content(self.extensions, wanted)

    @property
    def selected_version(self) -> int:
        """The version both sides will speak: supported_versions where present, else the field."""
        data = _content(self.extensions, ExtensionType.SUPPORTED_VERSIONS)
        if data is not None and len(data) == 2:
            return int.from_bytes(data, "big")
        return self.legacy_version

    @property
    def is_hello_retry_request(self) -> bool:
        """Whether this only asks the client to say hello again (RFC 8446 §4.1.4)."""
        return self.random == HELLO_RETRY_RANDOM


def _pull_extensions(buffer: Buffer) -> tuple[tuple[Extension, ...], bytes]:
    """Pull the extension block, to the end of the hello, and what of it could not be read.

    Hellos before TLS 1.2 may end without one. One broken length must not hide a whole hello from
    the judge: what there is of the extensions is kept, and the raw block beside them.
    """
    if buffer.eof():
        return (), b""
    raw = buffer.pull_rest()
    end = len(raw)
    whole = end == _BLOCK_LENGTH + int.from_bytes(raw[:_BLOCK_LENGTH], "big")
    extensions: list[Extension] = []
    position = _BLOCK_LENGTH
    # By hand, not through Buffer: half of the time that a hello takes is spent here.
    while position + _EXTENSION_HEADER.size <= end:
        kind, length = _EXTENSION_HEADER.unpack_from(raw, position)
        start = position + _EXTENSION_HEADER.size
        position = start + length
        extensions.append(Extension(kind, raw[start:position]))
    return tuple(extensions), b"" if whole and position == end else raw


def _push_extensions(writer: Writer, extensions: tuple[Extension, ...], unread: bytes) -> None:
    if unread:
        writer.push_bytes(unread)
    elif extensions:
        with writer.push_block(2):
            for extension in extensions:
                writer.push_uint16(extension.type)
                writer.push_opaque(extension.data, 2)


def _pull_session_id(buffer: Buffer) -> bytes:
    offset = buffer.offset
    session_id = buffer.pull_opaque(1)
    if len(session_id) > SESSION_ID_LIMIT:
        raise ParseError(f"session id of {len(session_id)} bytes, at most 32 allowed", offset)
    return session_id


def pull_client_hello(body: bytes | memoryview, record_version: int) -> ClientHello:
    """Read a whole ClientHello body; ParseError when it is not one (RFC 8446 §4.1.2)."""
    buffer = Buffer(body)
    return ClientHello(
        record_version,
        buffer.pull_uint16(),
        buffer.pull_bytes(RANDOM_LENGTH),
        _pull_session_id(buffer),
        buffer.pull_uint16_list(),
        tuple(buffer.pull_opaque(1)),
        *_pull_extensions(buffer),
    )


def push_client_hello(hello: ClientHello) -> bytes:
    """Write the body that `pull_client_hello` reads."""
    writer = Writer()
    writer.push_uint16(hello.legacy_version)
    writer.push_bytes(hello.random)
    writer.push_opaque(hello.session_id, 1)
    writer.push_uint16_list(hello.cipher_suites)
    writer.push_opaque(bytes(hello.compression_methods), 1)
    _push_extensions(writer, hello.extensions, hello.unread)
    return writer.getvalue()


def pull_ssl2_client_hello(body: bytes | memoryview) -> ClientHello:
    """Read an SSL 2.0-compatible hello, from its message type on (RFC 5246 §E.2)."""
    buffer = Buffer(body)
    if buffer.pull_uint8() != _SSL2_CLIENT_HELLO:
        raise ParseError("SSL 2.0 message that is no ClientHello", 0)
    version = buffer.pull_uint16()
    spec_length = buffer.pull_uint16()
    session_length = buffer.pull_uint16()
    challenge_length = buffer.pull_uint16()
    if spec_length % 3:
        raise ParseError(f"SSL 2.0 cipher kinds in {spec_length} bytes, not a multiple of 3", 3)
    hello = ClientHello(
        record_version=ProtocolVersion.SSL_2_0,
        legacy_version=version,
        cipher_suites=tuple(buffer.pull_uint24() for _ in range(spec_length // 3)),
        session_id=buffer.pull_bytes(session_length),
        random=buffer.pull_bytes(challenge_length),
        compression_methods=(),
        extensions=(),
    )
    buffer.expect_end()
    return hello


def push_ssl2_client_hello(hello: ClientHello) -> bytes:
    """Write the message that `pull_ssl2_client_hello` reads."""
    writer = Writer()
    writer.push_uint8(_SSL2_CLIENT_HELLO)
    writer.push_uint16(hello.legacy_version)
    writer.push_uint16(3 * len(hello.cipher_suites))
    writer.push_uint16(len(hello.session_id))
    writer.push_uint16(len(hello.random))
    writer.push_bytes(b"".join(kind.to_bytes(3, "big") for kind in hello.cipher_suites))
    writer.push_bytes(hello.session_id)
    writer.push_bytes(hello.random)
    return writer.getvalue()


def pull_server_hello(body: bytes | memoryview) -> ServerHello:
    """Read a whole ServerHello body; ParseError when it is not one (RFC 8446 §4.1.3).

    Drafts of TLS 1.3 up to 21 state their version here, and have neither session id nor
    compression: both are then empty and 0.
    """
    buffer = Buffer(body)
    version = buffer.pull_uint16()
    draft = is_early_draft(version)
    return ServerHello(
        version,
        buffer.pull_bytes(RANDOM_LENGTH),
        b"" if draft else _pull_session_id(buffer),
        buffer.pull_uint16(),
        0 if draft else buffer.pull_uint8(),
        *_pull_extensions(buffer),
    )


def push_server_hello(hello: ServerHello) -> bytes:
    """Write the body that `pull_server_hello` reads."""
    writer = Writer()
    writer.push_uint16(hello.legacy_version)
    writer.push_bytes(hello.random)
    draft = is_early_draft(hello.legacy_version)
    if not draft:
        writer.push_opaque(hello.session_id, 1)
    writer.push_uint16(hello.cipher_suite)
    if not draft:
        writer.push_uint8(hello.compression_method)
    _push_extensions(writer, hello.extensions, hello.unread)
    return writer.getvalue()
