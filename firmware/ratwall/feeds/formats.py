"""Which reader reads which kind of feed."""

from collections.abc import Callable

from ratwall.feeds.documents import read_misp, read_stix
from ratwall.feeds.errors import FeedError
from ratwall.feeds.plain import read_plain
from ratwall.feeds.reading import Reading
from ratwall.feeds.suricata import read_suricata
from ratwall.feeds.tables import read_feodo, read_sslbl, read_sslbl_ja3, read_threatfox

READERS: dict[str, Callable[[bytes], Reading]] = {
    "sslbl": read_sslbl,
    "sslbl-ja3": read_sslbl_ja3,
    "threatfox": read_threatfox,
    "feodo": read_feodo,
    "plain": read_plain,
    "misp": read_misp,
    "stix": read_stix,
    "suricata": read_suricata,
}


def read_feed(kind: str, data: bytes) -> Reading:
    """Read a feed; FeedError if it is not taken."""
    if not data.strip():
        raise FeedError("an empty file")
    return READERS[kind](data)


def guess(data: bytes) -> str:
    """Return the kind that a file seems to be, by its first words; "plain" if nothing else."""
    head = data[: 64 * 1024].decode("utf-8", errors="replace").lower()
    for word, kind in (
        ("ja3_md5", "sslbl-ja3"),
        ("listingreason", "sslbl"),
        ("ioc_value", "threatfox"),
        ("dst_ip", "feodo"),
        ("dstip", "feodo"),
        ("sid:", "suricata"),
    ):
        if word in head:
            return kind
    if head.lstrip().startswith(("{", "[{", "[\n")):
        return "stix" if '"objects"' in head or '"bundle"' in head else "misp"
    return "plain"
