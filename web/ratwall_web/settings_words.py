"""What each setting means, for whoever runs the office: a title and a sentence or two.

Only words. A test holds that every setting has some.
"""

from ratwall_web.language import N_

# Section: its title, and what is decided there.
SECTIONS = {
    "network": (
        N_("Network"),
        N_("Which ports the box uses, and whether it only listens or routes."),
    ),
    "detection": (
        N_("Detection"),
        N_("How sure the box must be before it tells you, and before it cuts."),
    ),
    "block": (N_("Blocking"), N_("How long a server stays blocked.")),
    "response": (N_("Affected devices"), N_("What happens to a device whose connection was cut.")),
    "rules": (N_("Single rules"), N_("Rules that may only tell, or say nothing at all.")),
    "never_block": (N_("Never blocked"), N_("Servers that this box must never block.")),
    "policy": (N_("Known programs"), N_("Programs that are fine in your office.")),
    "feeds": (
        N_("Lists of known servers"),
        N_("Where the box gets lists of servers that others have found."),
    ),
    "signatures": (
        N_("Signature packs"),
        N_("Whose descriptions of harmful programs are accepted."),
    ),
    "ledger": (N_("History"), N_("How much of the past the box keeps.")),
    "capture": (
        N_("Recordings"),
        N_("Whether the traffic of a suspicious device is recorded as evidence."),
    ),
    "web": (N_("This page"), N_("Where this page can be reached.")),
    "kernel": (
        N_("Engine"),
        N_("How the box uses the machine it runs on. Change this only if you know why."),
    ),
    "export.messages": (
        N_("What and when"),
        N_("What you are told by mail and on your telephone, and when."),
    ),
    "export.mail": (N_("Mail"), N_("Sends you a mail when something wants a hand.")),
    "export.push": (
        N_("Telephone (ntfy)"),
        N_("Sends a message to your telephone, by a server such as ntfy."),
    ),
    "export.syslog": (N_("Log server (syslog)"), N_("Sends every event to a log server.")),
    "export.webhook": (N_("Webhook"), N_("Sends every event to a web address of yours, signed.")),
    "export.mqtt": (
        N_("MQTT"),
        N_("Sends every event to a broker, for instance of a home automation."),
    ),
}

# Setting: its title, and what it means.
SETTINGS = {
    "network.lan": (
        N_("Port of the office"),
        N_("The port towards your switch. Empty: the box finds it by itself."),
    ),
    "network.wan": (
        N_("Port of the internet"),
        N_("The port towards your router. Empty: the box finds it by itself."),
    ),
    "network.mode": (
        N_("Place in the network"),
        N_(
            "Bridge: the box sits in the cable and changes nothing. Router: the box is the "
            "router of your office."
        ),
    ),
    "detection.watch": (
        N_("Score for “odd”"),
        N_("From this score on a connection is listed as odd."),
    ),
    "detection.alert": (
        N_("Score for an incident"),
        N_("From this score on a connection becomes an incident."),
    ),
    "detection.block": (N_("Score for cutting"), N_("From this score on a connection is cut.")),
    "detection.enforce": (
        N_("Protect"),
        N_("On: harmful connections are cut. Off: the box only says what it would have cut."),
    ),
    "detection.refuse_udp_443": (
        N_("Refuse QUIC"),
        N_("QUIC cannot be inspected. If it is refused, browsers use the older way, which can."),
    ),
    "detection.certificate_lookup": (
        N_("Ask suspicious servers"),
        N_(
            "The box asks rare servers that hide their certificate for it. The server can "
            "see that somebody asked."
        ),
    ),
    "block.seconds": (
        N_("Length of a block"),
        N_("So many seconds a server stays blocked. 86400 is one day."),
    ),
    "kernel.mark_mask": (N_("Mark bits"), N_("The bits of packet marks that are Ratwall's.")),
    "kernel.queue": (N_("First queue"), N_("The number of the first packet queue.")),
    "kernel.queue_length": (
        N_("Length of a queue"),
        N_("So many packets may wait; more of them pass uninspected."),
    ),
    "kernel.workers": (
        N_("Inspectors"),
        N_("How many inspectors run side by side. Empty: one for each core."),
    ),
    "kernel.log_group": (
        N_("Log group"),
        N_("The number of the first group for copies of packets."),
    ),
    "kernel.connections": (
        N_("Tracked connections"),
        N_("How many connections the box can keep track of. Empty: by its memory."),
    ),
    "kernel.observed_flows": (
        N_("Observed connections"),
        N_("How many unclear connections are observed at one time."),
    ),
    "web.listen": (
        N_("Address and port"),
        N_("Where this page answers. A box with our image always answers on port 443."),
    ),
    "ledger.retention_days": (N_("Days of history"), N_("Older history is deleted.")),
    "ledger.max_megabytes": (
        N_("Size of the history"),
        N_("If the history grows beyond so many megabytes, the oldest part is deleted."),
    ),
    "never_block.addresses": (
        N_("Addresses"),
        N_("One address in each line, for instance of your own server outside."),
    ),
    "policy.screenconnect_relays": (
        N_("Remote support servers"),
        N_("Servers of ScreenConnect that your own support uses, one in each line."),
    ),
    "rules.off": (
        N_("Rules that say nothing"),
        N_("One rule in each line, such as rhythm.stock, or rhythm.* for a whole group."),
    ),
    "rules.monitor": (
        N_("Rules that only tell"),
        N_("These rules report and cut nothing. One in each line."),
    ),
    "rules.enforce": (
        N_("Rules that may cut"),
        N_("These rules may have a connection cut. One in each line."),
    ),
    "response.quarantine": (
        N_("Quarantine"),
        N_("Ask: a person decides. Automatic: the device loses the internet at once."),
    ),
    "response.quarantine_seconds": (
        N_("Length of a quarantine"),
        N_("In seconds, unless somebody says otherwise."),
    ),
    "response.ports": (
        N_("Ports before a server is blocked whole"),
        N_(
            "After being cut on so many ports of one server, the device may not reach that "
            "server at all. 0: never."
        ),
    ),
    "response.watch": (
        N_("Watch closely"),
        N_("Watch a device closely after a connection of it was cut."),
    ),
    "response.watch_seconds": (N_("Length of close watching"), N_("In seconds.")),
    "capture.rules": (
        N_("Rules that record"),
        N_(
            "If one of these rules speaks, the traffic of the device is recorded. Recordings "
            "hold what people said."
        ),
    ),
    "capture.seconds": (N_("Length of a recording"), N_("In seconds.")),
    "capture.max_megabytes": (
        N_("Size of all recordings"),
        N_("In megabytes; the oldest is deleted first."),
    ),
    "capture.keep_days": (N_("Days a recording is kept"), N_("Then it is deleted.")),
    "feeds.shipped": (
        N_("List that comes with Ratwall"),
        N_("A few servers that are known for long."),
    ),
    "feeds.sources": (
        N_("Lists"),
        N_(
            "One list in each line: a name, its kind, the hours between two looks, and the "
            "address or file."
        ),
    ),
    "signatures.trust": (
        N_("Trusted signers"),
        N_("One in each line: release, development, or a public key."),
    ),
    "export.messages.level": (
        N_("What you are told at once"),
        N_("What is less important is in the summary only."),
    ),
    "export.messages.quiet_from": (
        N_("Quiet from"),
        N_("Nothing is sent from this time on, for instance 22:00. Empty: no quiet hours."),
    ),
    "export.messages.quiet_until": (
        N_("Quiet until"),
        N_("What waited is sent at this time, for instance 07:00."),
    ),
    "export.messages.urgent_at_night": (
        N_("Wake me"),
        N_("On: a remote-control program, or a box that does not protect, is told at night too."),
    ),
    "export.messages.digest": (N_("Summary"), N_("How often you get a summary.")),
    "export.messages.digest_hour": (N_("Hour of the summary"), N_("Weekly ones come on Mondays.")),
    "export.messages.page": (
        N_("Address of this page"),
        N_("Links in messages begin with it."),
    ),
    "export.mail.server": (
        N_("Mail server and port"),
        N_("As your mail provider says, for instance smtp.example:587. Empty: no mail."),
    ),
    "export.mail.security": (
        N_("Encryption"),
        N_("starttls goes with port 587, tls with port 465."),
    ),
    "export.mail.user": (N_("User"), N_("The user of the mail server, mostly the address.")),
    "export.mail.password_file": (N_("Password"), N_("The user's password.")),
    "export.mail.sender": (N_("Sender"), N_("The address that mails come from.")),
    "export.mail.recipients": (N_("Recipients"), N_("Who gets the mails, one in each line.")),
    "export.mail.ca_file": (
        N_("Certificate authority"),
        N_("A file on the box. Only for a server with a certificate of your own."),
    ),
    "export.push.url": (
        N_("Web address with topic"),
        N_(
            "For instance https://ntfy.example/a-long-secret-word. "
            "Who knows it can read along. Empty: no messages."
        ),
    ),
    "export.push.token_file": (N_("Token"), N_("If the server wants one.")),
    "export.push.ca_file": (
        N_("Certificate authority"),
        N_("A file on the box. Only for a server with a certificate of your own."),
    ),
    "export.syslog.server": (
        N_("Server and port"),
        N_("For instance logs.example:6514. Empty: nothing is sent."),
    ),
    "export.syslog.transport": (
        N_("Way"),
        N_("tls is encrypted; tcp and udp can be read on the way."),
    ),
    "export.syslog.format": (N_("Form of the messages"), N_("What the log server expects.")),
    "export.syslog.facility": (
        N_("Facility"),
        N_("Under which the log server files the messages."),
    ),
    "export.syslog.ca_file": (
        N_("Certificate authority"),
        N_("A file on the box. Only for a server with a certificate of your own."),
    ),
    "export.webhook.url": (N_("Web address"), N_("Begins with https://. Empty: nothing is sent.")),
    "export.webhook.secret_file": (
        N_("Secret"),
        N_("Messages are signed with it. The receiver needs the same one."),
    ),
    "export.webhook.ca_file": (
        N_("Certificate authority"),
        N_("A file on the box. Only for a server with a certificate of your own."),
    ),
    "export.mqtt.server": (
        N_("Server and port"),
        N_("For instance broker.example:8883. Empty: nothing is sent."),
    ),
    "export.mqtt.topic": (N_("Topic"), N_("What all topics begin with.")),
    "export.mqtt.tls": (
        N_("Encrypted"),
        N_("Off: everything, the password too, can be read on the way."),
    ),
    "export.mqtt.user": (N_("User"), N_("The broker's user, if it wants one.")),
    "export.mqtt.password_file": (N_("Password"), N_("The user's password.")),
    "export.mqtt.ca_file": (
        N_("Certificate authority"),
        N_("A file on the box. Only for a broker with a certificate of your own."),
    ),
}

# What a rule of a setting allows; `most` is put in where the page is made.
LIST_RULES = {
    "Addresses": N_("at most %(most)s addresses, one in each line"),
    "Servers": N_("at most %(most)s addresses or names, one in each line"),
    "RuleNames": N_("at most %(most)s rules, one in each line"),
    "Recipients": N_("at most %(most)s mail addresses, one in each line"),
    "Keys": N_("at most %(most)s signers, one in each line"),
}
# By what the settings' own rule says that it expects.
TEXT_RULES = {
    "the name of a network interface, at most 15 bytes": N_(
        "the name of a network port, at most 15 characters"
    ),
    'an address and a port, such as "192.168.1.2:8443" or "[::1]:8443"': N_(
        "an address and a port, such as 192.168.1.2:8443"
    ),
    'a server and a port, such as "logs.example:6514" or "192.0.2.1:514"': N_(
        "a server and a port, such as logs.example:6514"
    ),
    "an https:// address of at most 1024 characters, without a password": N_(
        "an address that begins with https://, without a password in it"
    ),
    'a topic such as "office/ratwall", at most 200 bytes, without + and #': N_(
        "a topic such as office/ratwall, without + and #"
    ),
    "a user's name, at most 200 characters": N_("a name of at most 200 characters"),
    "the path of a file, from / on": N_("the path of a file, which begins with /"),
    'an address such as "ratwall@office.example"': N_("a mail address"),
    'a time such as "22:00"': N_("a time such as 22:00"),
    '"kernel.mark_mask"': N_("eight bits in a row, such as 0xff000000"),
}
TRUTH = {True: N_("on"), False: N_("off")}
CHOICES = {
    "export.messages.level": {
        "critical": N_("Only what is urgent"),
        "warning": N_("Everything suspicious"),
        "all": N_("Everything that is done, too"),
        "none": N_("Nothing: the summary only"),
    },
    "export.messages.digest": {
        "off": N_("Never"),
        "daily": N_("Every day"),
        "weekly": N_("Every week"),
    },
    "network.mode": {"bridge": N_("Bridge"), "router": N_("Router")},
    "response.quarantine": {"ask": N_("Ask"), "automatic": N_("Automatic")},
}
