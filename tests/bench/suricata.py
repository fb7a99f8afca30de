"""Suricata as a user would tune it inline: bypass wherever it offers one, one small rule set.

It sees every packet of a connection, as it must, until the handshake is over; then its own bypass
sets a mark, which rules of ours here save on the conntrack entry, so that the rest stays in the
kernel. It writes what a user needs to look back: alerts, drops, and one TLS record a connection,
as Ratwall writes a flow. Everything is in a scratch directory.
"""

from pathlib import Path

BYPASS_MARK = "0x1"
QUEUES = "0:1"

RULES = """\
drop tls any any -> any any (msg:"AsyncRAT"; tls.cert_subject; content:"CN=AsyncRAT Server"; \
sid:1; rev:1;)
drop tls any any -> any any (msg:"DcRat"; tls.cert_issuer; content:"OU=qwqdanchun"; sid:2; rev:1;)
drop tls any any -> any any (msg:"Quasar"; tls.cert_subject; content:"CN=Quasar Server"; \
sid:3; rev:1;)
drop tls any any -> any any (msg:"VenomRAT"; tls.cert_subject; content:"CN=VenomRAT Server"; \
sid:4; rev:1;)
drop tls any any -> any any (msg:"on a list"; tls.cert_fingerprint; \
content:"ab:cd:ef:01:23:45:67:89:ab:cd:ef:01:23:45:67:89:ab:cd:ef:01"; sid:5; rev:1;)
drop tls any any -> any any (msg:"JA3 on a list"; ja3.hash; \
content:"fc54e0d16d9764783542f0146a98b300"; sid:6; rev:1;)
"""

CONFIG = """\
%YAML 1.1
---
vars:
  address-groups:
    HOME_NET: "[192.168.77.0/24,2001:db8:77::/64]"
    EXTERNAL_NET: "any"
default-log-dir: {folder}
default-rule-path: {folder}
rule-files: [bench.rules]
classification-file: /etc/suricata/classification.config
reference-config-file: /etc/suricata/reference.config
outputs:
  - eve-log:
      enabled: yes
      filetype: regular
      filename: eve.json
      types:
        - alert
        - drop
        - tls: {{extended: yes}}
logging:
  default-log-level: notice
  outputs:
    - console: {{enabled: yes}}
app-layer:
  protocols:
    tls:
      enabled: yes
      ja3-fingerprints: yes
      encryption-handling: bypass
nfq:
  mode: accept
  bypass-mark: 1
  bypass-mask: 1
  batchcount: 20
  fail-open: yes
stream:
  inline: yes
  bypass: yes
unix-command:
  enabled: no
"""

# What restores the mark on packets of bypassed connections, and saves it, as its manual has it.
MARKS = f"""\
add table inet bench
add chain inet bench restore {{ type filter hook prerouting priority -150; }}
add rule inet bench restore meta mark set ct mark
add chain inet bench save {{ type filter hook postrouting priority -150; }}
add rule inet bench save meta mark & {BYPASS_MARK} != 0 ct mark set meta mark
"""
UNMARKED_RULE = ("FORWARD", "-m", "mark", "!", "--mark", f"{BYPASS_MARK}/{BYPASS_MARK}") + (
    *("-j", "NFQUEUE", "--queue-balance", QUEUES, "--queue-bypass"),
)
READY_LINE = "Engine started"


def command(folder: Path) -> list[str]:
    """Write its files and return its command line."""
    (folder / "bench.rules").write_text(RULES)
    (folder / "suricata.yaml").write_text(CONFIG.format(folder=folder))
    queues = [word for number in QUEUES.split(":") for word in ("-q", number)]
    return ["suricata", "-c", str(folder / "suricata.yaml"), "--runmode", "workers", *queues]
