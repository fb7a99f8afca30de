"""Who is to be told: sections within a section, each value judged, secrets only by their file."""

from pathlib import Path

import pytest

from ratwall.errors import UsageError
from ratwall.settings.export import parse_server
from ratwall.settings.load import load_settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ratwall.toml"


def test_nobody_is_told_unless_somebody_is_named(file: Path) -> None:
    assert not load_settings(None).export.wanted
    file.write_text("[export.syslog]\nformat = 'cef'\n[export.mqtt]\ntopic = 'office'")
    assert not load_settings(file).export.wanted
    file.write_text("[export.mqtt]\nserver = 'broker:8883'")
    assert load_settings(file).export.wanted


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("siem:514", ("siem", 514)),
        ("logs.example:65535", ("logs.example", 65535)),
        ("192.0.2.1:1", ("192.0.2.1", 1)),
        ("[2001:db8::1]:6514", ("2001:db8::1", 6514)),
    ],
)
def test_servers_taken(text: str, place: tuple[str, int]) -> None:
    assert parse_server(text) == place


@pytest.mark.parametrize(
    "text",
    ["siem", "siem:", ":514", "siem:0", "siem:65536", "siem:+1", "2001:db8::1:514", "[siem]:514"]
    + ["[fe80::1%eth0]:514", "-a:514", "a b:514", "a..b:514", f"{'a' * 254}:514", "siem:5\u0661"],
)
def test_servers_refused(file: Path, text: str) -> None:
    file.write_text(f'[export.syslog]\nserver = "{text}"')
    with pytest.raises(UsageError, match=r"\[export.syslog\] server: expected a server and a port"):
        load_settings(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[export]\nsyslog = 1", "[export] syslog: expected a section, found 1"),
        ("[export.sislog]", '[export] sislog: unknown key, did you mean "syslog"?'),
        (
            "[export.syslog]\nserve = 1",
            '[export.syslog] serve: unknown key, did you mean "server"?',
        ),
        (
            "[export.syslog]\ntransport = 'ssl'",
            '[export.syslog] transport: expected "tls" or "tcp" or "udp", found "ssl"',
        ),
        (
            "[export.syslog]\nca_file = 'ca.pem'",
            '[export.syslog] ca_file: expected the path of a file, from / on, found "ca.pem"',
        ),
        (
            "[export.webhook]\nurl = 'https://a.example/'",
            "[export.webhook] url: expected secret_file beside it, which signs what is sent",
        ),
        (
            "[export.mqtt]\npassword_file = '/etc/x'",
            "[export.mqtt] password_file: expected user beside it, whose password it holds",
        ),
    ],
)
def test_mistakes_are_named(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(UsageError) as refused:
        load_settings(file)
    assert str(refused.value) == f"{file}: {message}"


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example/",
        "https:///x",
        "https://u:p@a.example/",
        "https://a.example:0/",
        "https://",
    ]
    + ["https://a.example/#x", "https://a.example/ b", f"https://a.example/{'x' * 1024}", "//a"],
)
def test_addresses_of_hooks_refused(file: Path, url: str) -> None:
    file.write_text(f'[export.webhook]\nurl = "{url}"\nsecret_file = "/etc/secret"')
    with pytest.raises(UsageError, match=r"\[export.webhook\] url: expected an https:// address"):
        load_settings(file)


@pytest.mark.parametrize("topic", ["", "/a", "a/", "a/+", "#", "$SYS", "a\\u0000b", "é" * 101])
def test_topics_refused(file: Path, topic: str) -> None:
    file.write_text(f'[export.mqtt]\ntopic = "{topic}"')
    with pytest.raises(UsageError, match=r"\[export.mqtt\] topic: expected a topic such as"):
        load_settings(file)
