"""The settings file: what is taken, and the exact words for what is not."""

from pathlib import Path

import pytest

from ratwall.errors import ExitCode, UsageError
from ratwall.settings.load import FILE_SIZE_LIMIT, load_settings
from ratwall.settings.schema import (
    BLOCK_SECONDS_HIGH,
    BLOCK_SECONDS_LOW,
    LEDGER_MEGABYTES_LOW,
    NEVER_BLOCK_LIMIT,
    QUEUE_LENGTH_HIGH,
    QUEUE_LENGTH_LOW,
    Settings,
)
from ratwall.verdict.judge import Thresholds


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ratwall.toml"


def complaint(file: Path, text: str) -> str:
    """Return the error for a settings file with this text, without the file's name."""
    file.write_text(text)
    with pytest.raises(UsageError) as refused:
        load_settings(file)
    assert refused.value.exit_code == ExitCode.USAGE
    message = str(refused.value)
    assert message.startswith(f"{file}: ")
    assert "\n" not in message
    return message.removeprefix(f"{file}: ")


def test_without_a_file_a_new_box_protects() -> None:
    settings = load_settings(None)
    assert settings == Settings()
    assert settings.detection.enforce
    assert not settings.detection.refuse_udp_443
    assert settings.network.mode == "bridge"
    assert settings.kernel.mark_mask == 0xFF000000


def test_without_a_file_the_judge_and_the_settings_agree() -> None:
    detection = load_settings(None).detection
    assert Thresholds(detection.watch, detection.alert, detection.block) == Thresholds()


def test_an_empty_file_means_the_defaults(file: Path) -> None:
    file.write_text("")
    assert load_settings(file) == Settings()


def test_every_key_can_be_set(file: Path) -> None:
    file.write_text(
        """
        [network]
        lan = "enp1s0"
        wan = "enp2s0"
        mode = "router"
        [detection]
        watch = 20
        alert = 50
        block = 90
        enforce = false
        refuse_udp_443 = true
        [block]
        seconds = 3600
        [kernel]
        mark_mask = 0x00ff0000
        queue = 7
        queue_length = 2048
        workers = 3
        [web]
        listen = "[2001:db8::1]:443"
        [ledger]
        retention_days = 7
        max_megabytes = 64
        [never_block]
        addresses = ["192.0.2.1", "2001:DB8:0::1", "192.0.2.1"]
        """
    )
    settings = load_settings(file)
    assert settings.network.lan == "enp1s0"
    assert settings.detection.block == 90
    assert not settings.detection.enforce
    assert settings.detection.refuse_udp_443
    assert settings.kernel.mark_mask == 0x00FF0000
    assert settings.kernel.workers == 3
    assert settings.web.address == ("2001:db8::1", 443)
    assert settings.never_block.addresses == ("192.0.2.1", "2001:db8::1")  # canonical, once


def test_the_message_says_file_section_key_what_is_allowed_and_what_was_found(file: Path) -> None:
    assert complaint(file, '[block]\nseconds = "soon"') == (
        '[block] seconds: expected an integer from 60 to 2592000, found "soon"'
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[block]\nsecond = 5", '[block] second: unknown key, did you mean "seconds"?'),
        ("[blok]", '[blok]: unknown section, did you mean "block"?'),
        ("[block]\nqqq = 5", "[block] qqq: unknown key; known are seconds"),
        ("block = 5", "block: expected a section, found 5"),
        (
            "[block]\nseconds = true",
            "[block] seconds: expected an integer from 60 to 2592000, found true",
        ),
        (
            "[block]\nseconds = 60.0",
            "[block] seconds: expected an integer from 60 to 2592000, found 60.0",
        ),
        (
            "[block]\nseconds = 1979-05-27",
            "[block] seconds: expected an integer from 60 to 2592000, found 1979-05-27",
        ),
        (
            "[block.seconds]",
            "[block] seconds: expected an integer from 60 to 2592000, found a section",
        ),
        (
            "[kernel]\nqueue = true",  # Python would take it for the number 1
            "[kernel] queue: expected an integer from 0 to 65535, found true",
        ),
        ("[detection]\nenforce = 1", "[detection] enforce: expected true or false, found 1"),
        (
            '[detection]\nrefuse_udp_443 = "yes"',
            '[detection] refuse_udp_443: expected true or false, found "yes"',
        ),
        (
            "[detection]\nrefuse_udp = true",
            '[detection] refuse_udp: unknown key, did you mean "refuse_udp_443"?',
        ),
        ('[network]\nmode = "hub"', '[network] mode: expected "bridge" or "router", found "hub"'),
        (
            '[network]\nlan = "a name too long"\nwan = "sixteen-bytes-xx"',
            "[network] lan: expected the name of a network interface, at most 15 bytes, "
            'found "a name too long"',
        ),
        (
            '[network]\nlan = "eth0"\nwan = "eth0"',
            '[network]: expected two interfaces, found "eth0" as lan and as wan',
        ),
        (
            "[detection]\nwatch = 60",
            "[detection]: expected watch < alert < block, found 60, 60, 80",
        ),
        (
            "[kernel]\nmark_mask = 0xfe",
            "[kernel] mark_mask: expected eight neighbouring bits of 32, such as 0xff000000 or "
            "0x00ff0000, found 0x000000fe",
        ),
        (
            '[web]\nlisten = "8443"',
            '[web] listen: expected an address and a port, such as "192.168.1.2:8443" or '
            '"[::1]:8443", found "8443"',
        ),
        (
            '[never_block]\naddresses = ["192.0.2.0/24"]',
            "[never_block] addresses: expected a list of at most 256 IPv4 or IPv6 addresses; "
            '"192.0.2.0/24" is none, found ["192.0.2.0/24"]',
        ),
    ],
)
def test_each_mistake_has_its_own_line(file: Path, text: str, message: str) -> None:
    assert complaint(file, text) == message


def test_broken_toml_is_named_with_its_place(file: Path) -> None:
    assert complaint(file, "[block]\nseconds = \n") == (
        "not valid TOML: Invalid value (at line 2, column 11)"
    )


def test_a_number_that_python_refuses_to_read_is_no_crash(file: Path) -> None:
    assert complaint(file, f"[block]\nseconds = {'9' * 5000}\n").startswith(
        "not valid TOML: Exceeds the limit"
    )


def test_a_long_found_value_stays_on_one_line(file: Path) -> None:
    assert len(complaint(file, f'[network]\nmode = "{"x" * 5000}"')) < 200


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the settings: No such file or directory"):
        load_settings(tmp_path / "none.toml")


def test_a_directory_is_no_settings_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Is a directory"):
        load_settings(tmp_path)


def test_bytes_that_are_no_text(file: Path) -> None:
    file.write_bytes(b"# \xff")
    with pytest.raises(UsageError, match="not UTF-8 text at byte 2"):
        load_settings(file)


def test_the_size_of_the_file_is_limited(file: Path) -> None:
    file.write_bytes(b"#" * FILE_SIZE_LIMIT)
    assert load_settings(file) == Settings()
    file.write_bytes(b"#" * (FILE_SIZE_LIMIT + 1))
    with pytest.raises(UsageError, match="not a settings file"):
        load_settings(file)


@pytest.mark.parametrize(
    ("section", "key", "low", "high"),
    [
        ("block", "seconds", BLOCK_SECONDS_LOW, BLOCK_SECONDS_HIGH),
        ("kernel", "workers", 1, 4),
        ("kernel", "queue_length", QUEUE_LENGTH_LOW, QUEUE_LENGTH_HIGH),
        ("ledger", "retention_days", 1, 3650),
        ("ledger", "max_megabytes", LEDGER_MEGABYTES_LOW, 65_536),
    ],
)
def test_number_limits(file: Path, section: str, key: str, low: int, high: int) -> None:
    for value in (low, low + 1, high - 1, high):
        file.write_text(f"[{section}]\n{key} = {value}")
        assert getattr(getattr(load_settings(file), section), key) == value
    for value in (low - 1, high + 1):
        assert f"found {value}" in complaint(file, f"[{section}]\n{key} = {value}")


def test_each_worker_needs_a_queue_number(file: Path) -> None:
    for queue, workers in ((65_532, 4), (65_535, 1), (0, 4), (1, 1)):
        file.write_text(f"[kernel]\nqueue = {queue}\nworkers = {workers}")
        assert load_settings(file).kernel.queue == queue
    assert complaint(file, "[kernel]\nqueue = 65533\nworkers = 4") == (
        "[kernel]: expected a queue for each worker up to number 65535, "
        "found 4 workers from queue 65533 on"
    )
    for queue in (-1, 65_536):
        assert f"found {queue}" in complaint(file, f"[kernel]\nqueue = {queue}\nworkers = 1")


def test_by_default_there_is_a_worker_a_core_up_to_four(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, workers in ((1, 1), (2, 2), (3, 3), (4, 4), (5, 4)):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, cores=cores: set(range(cores)))
        assert load_settings(None).kernel.workers == workers


def test_score_limits(file: Path) -> None:
    file.write_text("[detection]\nwatch = 1\nalert = 2\nblock = 100")
    assert load_settings(file).detection.block == 100
    assert "found 0" in complaint(file, "[detection]\nwatch = 0")
    assert "found 101" in complaint(file, "[detection]\nblock = 101")


def test_interface_name_length_limits(file: Path) -> None:
    for length in (14, 15):
        file.write_text(f'[network]\nlan = "{"e" * length}"')
        assert load_settings(file).network.lan == "e" * length
    for name in ("e" * 16, "ä" * 8, "", ".", "..", "a/b", "a:b", "a b", "a\\u0000"):
        assert "[network] lan: expected" in complaint(file, f'[network]\nlan = "{name}"')


def test_mark_mask_is_eight_neighbouring_bits_anywhere_in_the_word(file: Path) -> None:
    for shift in range(25):
        file.write_text(f"[kernel]\nmark_mask = {0xFF << shift:#x}")
        assert load_settings(file).kernel.mark_mask == 0xFF << shift
    for mask in (0, 0x7F, 0x1FF, 0xFF << 25, 0xF0F, 0xFFFFFFFF):
        assert "eight neighbouring bits" in complaint(file, f"[kernel]\nmark_mask = {mask:#x}")


@pytest.mark.parametrize("listen", ["127.0.0.1:1", "0.0.0.0:65535", "[::]:8443"])
def test_listen_addresses_taken(file: Path, listen: str) -> None:
    file.write_text(f'[web]\nlisten = "{listen}"')
    assert load_settings(file).web.listen == listen


@pytest.mark.parametrize(
    "listen",
    ["127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:", ":8443", "::1:8443", "[127.0.0.1]:80", "a:1"],
)
def test_listen_addresses_refused(file: Path, listen: str) -> None:
    assert "[web] listen: expected" in complaint(file, f'[web]\nlisten = "{listen}"')


def test_never_block_list_length(file: Path) -> None:
    def listed(count: int) -> str:
        addresses = ", ".join(f'"2001:db8::{number:x}"' for number in range(count))
        return f"[never_block]\naddresses = [{addresses}]"

    for count in (NEVER_BLOCK_LIMIT - 1, NEVER_BLOCK_LIMIT):
        file.write_text(listed(count))
        assert len(load_settings(file).never_block.addresses) == count
    assert "at most 256" in complaint(file, listed(NEVER_BLOCK_LIMIT + 1))
