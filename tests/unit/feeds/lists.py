"""Lists in the formats of their publishers, made up for the tests: documentation addresses, names
below .example, digests of nothing."""

import json
from typing import Any

SHA1 = "e7fc4b658c64f9f7defb825a9d855cbfa65c3781"
OTHER_SHA1 = "0123456789abcdef0123456789abcdef01234567"
SHA256 = "ce772ec3" + "0123456789abcdef" * 3 + "01234567"
JA3 = "fc54e0d16d9764783542f0146a98b300"
JA4 = "t10i070500_c50f5591e341_950472255fe9"

# abuse.ch, sslblacklist.csv: comments with the header among them, CRLF, no quotes, a comma in the
# last column.
SSLBL = (
    "################################################################\r\n"
    "# abuse.ch SSLBL SSL Certificate Blacklist (SHA1 Fingerprints) #\r\n"
    "# Last updated: 2026-11-20 10:00:00 UTC                        #\r\n"
    "################################################################\r\n"
    "#\r\n"
    "# Listingdate,SHA1,Listingreason\r\n"
    f"2026-11-20 09:58:00,{SHA1},AsyncRAT C&C\r\n"
    f"2026-11-19 09:58:00,{OTHER_SHA1},DCRat, or what is left of it C&C\r\n"
    "# END 2 entries\r\n"
).encode()

SSLBL_JA3 = (
    "# ja3_md5,Firstseen,Lastseen,Listingreason\r\n"
    f"{JA3},2018-09-24 00:00:00,2021-08-11 00:00:00,AsyncRAT\r\n"
).encode()

_FOX_HEAD_15 = (
    '# "first_seen_utc","ioc_id","ioc_value","ioc_type","threat_type","fk_malware",'
    '"malware_alias","malware_printable","last_seen_utc","confidence_level","is_compromised",'
    '"reference","tags","anonymous","reporter"\r\n'
)
_FOX_HEAD_14 = _FOX_HEAD_15.replace('"is_compromised",', "")


def fox_row(value: str, kind: str, sure: int = 100, compromised: str | None = "False") -> str:
    """A row of ThreatFox: a space behind each comma, "None" for nothing."""
    cells = [
        *("2026-11-20 10:00:00", "1650001", value, kind, "botnet_cc", "win.asyncrat", "None"),
        *("AsyncRAT", "", str(sure)),
        *([] if compromised is None else [compromised]),
        *("None", "asyncrat,c2", "0", "somebody"),
    ]
    return ", ".join(f'"{cell}"' for cell in cells) + "\r\n"


THREATFOX_15 = (
    "# ThreatFox IOCs: recent\r\n"
    + _FOX_HEAD_15
    + fox_row("198.51.100.7:6606", "ip:port")
    + fox_row("c2.rat.example", "domain", 75)
    + fox_row("198.51.100.8:443", "ip:port", 100, "True")
    + fox_row("https://c2.rat.example/gate", "url")
    + fox_row(SHA256, "sha256_hash")
).encode()
THREATFOX_14 = (
    "# ThreatFox IOCs: full\r\n"
    + _FOX_HEAD_14
    + fox_row("198.51.100.7:6606", "ip:port", 100, None)
    + fox_row("[2001:db8::7]:7707", "ip:port", 100, None)
).encode()

FEODO = (
    b"# Feodo Tracker Botnet C2 IP Blocklist\r\n"
    b'"first_seen_utc","dst_ip","dst_port","c2_status","last_online","malware"\r\n'
    b'"2026-10-01 12:00:00","198.51.100.9","4782","online","2026-11-20","QuasarRAT"\r\n'
)
SSLBL_IP = b"# Firstseen,DstIP,DstPort\r\n2026-11-01 12:00:00,198.51.100.10,8848\r\n"

PLAIN = (
    "# what we have seen ourselves\n"
    "198.51.100.11\n"
    "198.51.100.12:6606   ; the first one\n"
    "[2001:db8::12]:8808\n"
    "2001:db8::13\n"
    "c2[.]rat.example\n"
    "*.dyn.rat.example  # and all below it\n"
    f"{SHA1.upper()}\n"
    f"{':'.join(SHA256[i : i + 2] for i in range(0, 64, 2))}\n"
    f"{JA3}\n"
    f"{JA4}\n"
    "192.0.2.0/28\n"
    "https://c2.rat.example/gate\n"
).encode()

SURICATA = f"""\
# rules made up for the tests
alert tls $EXTERNAL_NET any -> $HOME_NET any (msg:"Malicious certificate (AsyncRAT C&C)"; \
flow:established,to_client; tls.cert_fingerprint; \
content:"{":".join(SHA1[i : i + 2] for i in range(0, 40, 2))}"; classtype:trojan-activity; \
sid:1000001; rev:1;)
alert tls $HOME_NET any -> $EXTERNAL_NET any (msg:"Known client (AsyncRAT)"; ja3.hash; \
content:"{JA3}"; sid:1000002; rev:2;)
alert tls $HOME_NET any -> $EXTERNAL_NET any (msg:"Known name"; tls.sni; \
content:"c2.rat.example"; startswith; endswith; nocase; sid:1000003; rev:1;)
alert tls any any -> any any (msg:"Name and all below"; tls.sni; dotprefix; \
content:".dyn.rat.example"; endswith; fast_pattern; sid:1000004; rev:1;)
alert tls any any -> any any (msg:"A certificate by two names; the second, |26|"; \
tls.cert_subject; content:"CN=Evil |43 41|"; startswith; tls.cert_issuer; \
content:!"Let's Encrypt"; sid:1000005; rev:1;)
alert tls any any -> any any (msg:"Needs a pattern"; tls.cert_subject; \
content:"CN=Evil CA"; pcre:"/Evil CA$/"; sid:1000006; rev:1;)
""".encode()

STAMP = "1763632800"  # 2025-11-20 10:00 UTC


def attribute(kind: str, value: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "value": value, "to_ids": True, "timestamp": STAMP, **more}


def event(*attributes: dict[str, Any], objects: list[Any] | None = None) -> bytes:
    inner = {"info": "AsyncRAT servers", "Attribute": list(attributes), "Object": objects or []}
    return json.dumps({"Event": inner}).encode()


def indicator(pattern: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "name": "AsyncRAT",
        "pattern": pattern,
        "pattern_type": "stix",
        "valid_from": "2025-11-20T10:00:00.000Z",
        **more,
    }


def bundle(*objects: dict[str, Any]) -> bytes:
    return json.dumps({"type": "bundle", "id": "bundle--1", "objects": list(objects)}).encode()


# One of each kind.
SAMPLES = {
    "sslbl": SSLBL,
    "sslbl-ja3": SSLBL_JA3,
    "threatfox": THREATFOX_15,
    "feodo": FEODO,
    "plain": PLAIN,
    "suricata": SURICATA,
    "misp": event(attribute("ip-dst", "198.51.100.7"), attribute("domain", "c2.rat.example")),
    "stix": bundle(indicator("[ipv4-addr:value = '198.51.100.7']", confidence=80)),
}
