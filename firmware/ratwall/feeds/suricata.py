"""Suricata rules on TLS handshakes: the subset that one look at a handshake can decide.

Buffers: tls.cert_subject, tls.cert_issuer, tls.cert_fingerprint, tls.sni, ja3.hash, ja4.hash, and
their older spellings. Of each: content with nocase, startswith, endswith, bsize, negated or not; of
a name dotprefix, where it means the name and all below it. A rule that asks for anything else is
left out whole and what it asked for is counted by name: with a condition missing it would match
what its author never meant.

Design note: a rule of one exact digest or name becomes an indicator and costs a look-up; only what
needs several conditions, or a part of a text, stays a rule and is tried one by one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ratwall.feeds.indicator import Indicator, Kind, digest, ja4, name
from ratwall.feeds.reading import Collector, Reading, family, lines_of
from ratwall.feeds.rule import Condition, TlsRule

BUFFERS = {
    "tls.cert_subject": "subject",
    "tls_cert_subject": "subject",
    "tls.cert_issuer": "issuer",
    "tls_cert_issuer": "issuer",
    "tls.cert_fingerprint": "sha1",
    "tls_cert_fingerprint": "sha1",
    "tls.sni": "sni",
    "tls_sni": "sni",
    "ja3.hash": "ja3",
    "ja3_hash": "ja3",
    "ja4.hash": "ja4",
}
# Keywords that hold their text themselves; case counts and nothing modifies them.
WHOLE = {"tls.subject": "subject", "tls.issuerdn": "issuer", "tls.fingerprint": "sha1"}
# What does not change what a rule matches.
SILENT = (
    *("msg", "sid", "rev", "gid", "classtype", "reference", "metadata", "priority", "target"),
    "fast_pattern",
)
FLOW_WORDS = ("established", "to_client", "to_server", "from_client", "from_server")
EXACT = ("sha1", "ja3", "ja4")  # fields that a content names whole, wherever it is looked for
DIGITS = {"sha1": 40, "ja3": 32}
ACTIONS = ("alert", "drop", "reject", "rejectsrc", "rejectdst", "rejectboth")
HOSTS = ("any", "$HOME_NET", "$EXTERNAL_NET")
CONDITIONS_LIMIT = 16
OPTIONS_LIMIT = 64
# Shorter a text of a name stands in too many certificates to mean one of them.
CONTENT_LEAST = 5
_HEADER = re.compile(r"(\w+)\s+(\w+)\s+(\S+)\s+(\S+)\s+(->|<>)\s+(\S+)\s+(\S+)\s*\((.*)\)\s*")
_SID = re.compile(r"[0-9]{1,12}")
_HEX = re.compile(r"\|((?:[0-9A-Fa-f]{2}\s*)*)\|")


class _UnsupportedError(Exception):
    """A rule asks for what is not in the subset; the text names it."""


@dataclass(slots=True)
class _Rule:
    msg: str = ""
    sid: str | None = None
    buffer: str | None = None
    dotted: bool = False  # a dot is put before the name
    conditions: list[Condition] = field(default_factory=list)


def read_suricata(data: bytes) -> Reading:
    """Read a file of rules."""
    collector = Collector()
    for number, line in lines_of(data):
        if line.startswith("#"):
            continue
        collector.rows += 1
        try:
            rule = _rule(line)
            _take(rule, collector)
        except _UnsupportedError as error:
            collector.skip(f"rule asks for {error}")
        except ValueError:
            collector.unreadable(f"line {number}", line)
    return collector.reading()


def _rule(line: str) -> _Rule:
    header = _HEADER.fullmatch(line)
    if header is None:
        raise ValueError(line)
    action, protocol, source, source_port, _, destination, destination_port, body = header.groups()
    if action not in ACTIONS:
        raise _UnsupportedError(f"the action {action[:16]}")
    if protocol != "tls":
        raise _UnsupportedError(f"the protocol {protocol[:16]}")
    if not {source, destination} <= set(HOSTS) or {source_port, destination_port} != {"any"}:
        raise _UnsupportedError("addresses or ports")
    rule = _Rule()
    for number, (keyword, value) in enumerate(_options(body)):
        if number >= OPTIONS_LIMIT:
            raise _UnsupportedError("too many options")
        _option(rule, keyword, value)
    if rule.sid is None:
        raise ValueError(line)
    if rule.buffer is not None and not any(c.field == rule.buffer for c in rule.conditions):
        raise _UnsupportedError(f"a buffer without content ({rule.buffer})")
    return rule


def _option(rule: _Rule, keyword: str, value: str | None) -> None:
    if keyword in BUFFERS:
        rule.buffer = BUFFERS[keyword]
    elif keyword == "dotprefix" and rule.buffer == "sni" and not rule.conditions:
        rule.dotted = True
    elif keyword in WHOLE:
        _add(rule, Condition(WHOLE[keyword], *_content(value)))
        rule.buffer = None
    elif keyword == "content":
        if rule.buffer is None:
            raise _UnsupportedError("content outside a TLS buffer")
        content, negated = _content(value)
        _add(rule, Condition(rule.buffer, content, negated=negated))
    elif keyword in ("nocase", "startswith", "endswith", "bsize") or keyword == "isdataat":
        _modify(rule, keyword, value)
    elif keyword == "flow":
        if not set(re.split(r"\s*,\s*", value or "")) <= set(FLOW_WORDS):
            raise _UnsupportedError("flow")
    elif keyword == "msg":
        rule.msg = (value or "").strip('"')
    elif keyword == "sid":
        if value is None or _SID.fullmatch(value) is None:
            raise ValueError(value)
        rule.sid = value
    elif keyword not in SILENT:
        raise _UnsupportedError(keyword[:32])


def _modify(rule: _Rule, keyword: str, value: str | None) -> None:
    """Change the last condition, which must be of the buffer at hand."""
    if not rule.conditions or rule.conditions[-1].field != rule.buffer:
        raise _UnsupportedError(f"{keyword} without content")
    last = rule.conditions[-1]
    match keyword:
        case "nocase":
            last = replace(last, nocase=True)
        case "startswith":
            last = replace(last, at_start=True)
        case "endswith":
            last = replace(last, at_end=True)
        case "isdataat":
            if re.sub(r"\s", "", value or "") != "!1,relative":
                raise _UnsupportedError("isdataat")
            last = replace(last, at_end=True)
        case _:
            if value is None or not value.isdigit() or len(value) > 5 or last.negated:
                raise _UnsupportedError("bsize of a range")
            last = replace(last, size=int(value))
    rule.conditions[-1] = last


def _add(rule: _Rule, condition: Condition) -> None:
    if len(rule.conditions) >= CONDITIONS_LIMIT:
        raise _UnsupportedError("too many conditions")
    if condition.field == "sha1":
        # With colons in rules, without in ours.
        condition = replace(condition, content=digest(condition.content, DIGITS["sha1"]))
    rule.conditions.append(condition)


def _content(value: str | None) -> tuple[str, bool]:
    """Return the text of a quoted value with its escapes undone, and whether it is negated."""
    if value is None:
        raise ValueError(value)
    negated = value.startswith("!")
    quoted = value[1:].strip() if negated else value
    if len(quoted) < 3 or quoted[0] != '"' or quoted[-1] != '"':
        raise ValueError(value)
    inner = re.sub(r"\\([;\\\":])", r"\1", quoted[1:-1])
    plain = _HEX.sub(lambda match: bytes.fromhex(match[1]).decode("latin-1"), inner)
    if "|" in plain and "|" in inner:
        raise ValueError(value)
    return plain, negated


def _options(body: str) -> Iterator[tuple[str, str | None]]:
    """Yield (keyword, value) of each option; a semicolon in quotes or behind a backslash is text.

    ValueError where the last one does not end.
    """
    begun, quoted, escaped = 0, False, False
    for place, character in enumerate(body):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == ";" and not quoted:
            keyword, colon, value = body[begun:place].strip().partition(":")
            yield keyword.strip(), value.strip() if colon else None
            begun = place + 1
    if body[begun:].strip() or quoted:
        raise ValueError(body)


def _take(rule: _Rule, collector: Collector) -> None:
    """Keep a rule as an indicator where it names one thing, else as it is."""
    conditions = tuple(rule.conditions)
    positive = [each for each in conditions if not each.negated]
    if not positive:
        raise _UnsupportedError("nothing that must be there")
    if rule.dotted:
        only = conditions[0]
        if len(conditions) > 1 or not (only.at_end and only.content.startswith(".")):
            raise _UnsupportedError("dotprefix otherwise than for a name and those below it")
        below = name(only.content[1:])
        collector.add(Indicator(Kind.NAME, below, family=_called(rule.msg)))
        return
    if len(conditions) == 1:
        indicator = _indicator(conditions[0], _called(rule.msg))
        if indicator is not None:
            collector.add(indicator)
            return
    if all(len(each.content.strip(" =,.*")) < CONTENT_LEAST for each in positive):
        raise _UnsupportedError("too short a text")
    collector.add_rule(
        TlsRule(rule.sid or "", family(rule.msg) or "", conditions, _called(rule.msg))
    )


def _indicator(condition: Condition, called: str | None) -> Indicator | None:
    """Return what one condition names by itself, None if it does not."""
    if condition.field in EXACT:
        match condition.field:
            case "sha1":
                return Indicator(Kind.CERTIFICATE_SHA1, condition.content, family=called)
            case "ja3":
                return Indicator(Kind.JA3, digest(condition.content, 32), family=called)
            case _:
                return Indicator(Kind.JA4, ja4(condition.content), family=called)
    whole = condition.at_start and condition.at_end
    if condition.size is not None:
        whole = condition.size == len(condition.content.encode())
    if condition.field == "sni" and whole:
        return Indicator(Kind.HOST, name(condition.content), family=called)
    return None


def _called(msg: str) -> str | None:
    """Return the family that a message names in brackets at its end: "… detected (AsyncRAT)"."""
    match = re.search(r"\(([^()]{2,60})\)\s*$", msg)
    if match is None:
        return None
    called = family(match[1])
    return None if called is None else called.removesuffix(" C&C")
