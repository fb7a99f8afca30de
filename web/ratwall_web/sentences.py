"""The sentences that other parts of Ratwall say in English and that a page says in any language.

Only a table, no logic. Each is one sentence as its writer makes it, with a name for each place; a
test holds them against those writers (`tests/web/test_told.py`). What the owner reads is here;
what only technicians read (refusals of rare kinds, the kernel's words) stays English.
"""

from ratwall_web.language import N_

# `ratwall.verdict.headline`
HEADLINES = (
    N_(
        "%(device)s tried to reach a remote-control server (%(family)s) at %(server)s "
        "port %(port)s: being blocked"
    ),
    N_(
        "%(device)s tried to reach a remote-control server (%(family)s) at %(server)s "
        "port %(port)s: blocked"
    ),
    N_(
        "%(device)s reached a remote-control server (%(family)s) at %(server)s "
        "port %(port)s: not blocked, only watched"
    ),
    N_(
        "%(device)s reached a remote-control server (%(family)s) at %(server)s "
        "port %(port)s: not blocked, please check"
    ),
    N_(
        "%(device)s tried to reach a remote-control server (%(family)s) at %(server)s "
        "port %(port)s: let through, because you allowed it"
    ),
    N_(
        "%(device)s tried to reach a remote-control server (%(family)s) at %(server)s "
        "port %(port)s: block taken away"
    ),
    N_("%(device)s tried to reach a suspicious server at %(server)s port %(port)s: being blocked"),
    N_("%(device)s tried to reach a suspicious server at %(server)s port %(port)s: blocked"),
    N_(
        "%(device)s reached a suspicious server at %(server)s "
        "port %(port)s: not blocked, only watched"
    ),
    N_(
        "%(device)s reached a suspicious server at %(server)s "
        "port %(port)s: not blocked, please check"
    ),
    N_(
        "%(device)s tried to reach a suspicious server at %(server)s "
        "port %(port)s: let through, because you allowed it"
    ),
    N_(
        "%(device)s tried to reach a suspicious server at %(server)s "
        "port %(port)s: block taken away"
    ),
)

# The packs in `ratwall.signatures`
SIGNATURES = (
    N_("Port %(port)s is one that AsyncRAT servers use by default."),
    N_("Port %(port)s is one that PureRAT servers are reported to use."),
    N_("Port %(port)s is the one that DcRat servers use by default."),
    N_("Port %(port)s is the one that Quasar servers use by default."),
    N_("Port %(port)s is the one that VenomRAT servers use by default."),
    N_("The program does not say which server it wants."),
    N_(
        "The program says hello as AsyncRAT on Windows does, though other Windows programs may "
        "as well."
    ),
    N_(
        "The program says hello as Quasar on Windows does, though other Windows programs may "
        "as well."
    ),
    N_("The program uses the outdated TLS 1.0 and does not say which server it wants."),
    N_(
        "The server made its own certificate and named it like a remote-control tool: "
        "“%(common_name)s”."
    ),
    N_(
        "The server made its own certificate “%(common_name)s” and numbered it as AsyncRAT and "
        "its relatives do, though some honest programs do so too."
    ),
    N_(
        "The server made its own certificate “%(common_name)s” instead of getting one from a "
        "known authority."
    ),
    N_("The server made its own certificate “%(common_name)s”, and it never ends."),
    N_("The server's certificate cannot be read, or is larger than any honest one."),
    N_(
        "The server's certificate carries the default name of %(tool)s, a tool for controlling "
        "other computers: “%(common_name)s”."
    ),
    N_(
        "The server's certificate carries the name of a Quasar offshoot, a tool for controlling "
        "other computers: “%(common_name)s”."
    ),
    N_(
        "The server's certificate carries the name of %(tool)s, a tool for controlling other "
        "people's computers: “%(common_name)s”."
    ),
    N_(
        "The server's certificate is named like a remote-control tool, “%(common_name)s”, was "
        "made by the server itself and never ends."
    ),
    N_(
        "The server's certificate is signed with the nickname of DcRat's author, as all its "
        "descendants do: “%(common_name)s”."
    ),
    N_(
        "The server's certificate “%(common_name)s” breaks the rules for certificates, though "
        "some software would accept it."
    ),
    N_(
        "The server's certificate “%(common_name)s” claims an issuer that did not sign it, in "
        "exactly the way of DcRat and its relatives."
    ),
    N_("The server's certificate “%(common_name)s” claims an issuer that did not sign it."),
    N_(
        "The server's certificate “%(common_name)s” is built as %(tool)s and its relatives build "
        "theirs; only its dates differ."
    ),
    N_(
        "The server's certificate “%(common_name)s” is built as %(tool)s and its relatives build "
        "theirs; only its list of extensions differs."
    ),
    N_(
        "The server's certificate “%(common_name)s” is built as %(tool)s and its relatives build "
        "theirs; only the kind of signature differs."
    ),
    N_(
        "The server's certificate “%(common_name)s” is built exactly as %(tool)s and its "
        "relatives build theirs, down to a prime serial number and an end in the year 9999."
    ),
    N_(
        "The server's certificate “%(common_name)s” is built exactly as %(tool)s and its "
        "relatives build theirs, down to a prime serial number and a validity of %(days)s days."
    ),
    N_(
        "The server's certificate “%(common_name)s” never ends and has AsyncRAT's exact form and "
        "size, but not its kind of serial number."
    ),
    N_(
        "The server's certificate “%(common_name)s” never ends and has AsyncRAT's form, but not "
        "its kind of serial number."
    ),
    N_("The start of the encrypted connection is malformed or contradicts itself."),
    N_("AsyncRAT as built from its published source, and forks that keep its name"),
    N_("DcRat by qwqdanchun, and descendants that keep the author's name in the issuer"),
    N_(
        "Everyday signs of home-made servers and nameless clients, and handshakes that cannot "
        "be read"
    ),
    N_("Forks and neighbours of AsyncRAT that are known by their certificate's name or port"),
    N_("Quasar 1.4 and later, and forks that keep its certificate"),
    N_("The shape of the certificates that AsyncRAT, Quasar, DcRat, VenomRAT and their forks make"),
    N_("VenomRAT 5 and 6"),
)

# `ratwall.verdict.judge` and `ratwall.feeds.match`
JUDGED = (
    N_("Not cut: set to tell only (%(rules)s)."),
    N_(
        "This server was recognised as %(family)s by its certificate %(span)s ago; this "
        "connection hides the certificate, so the earlier verdict holds."
    ),
    N_(
        "This server was recognised as %(family)s on port %(port)s %(span)s ago; this connection "
        "resumes a session without showing a certificate."
    ),
    N_(
        "The connection was running already when Ratwall began to read it: picked up mid-stream, "
        "its certificate not seen."
    ),
    N_(
        "The server sent two versions of the same bytes. Where connections are cut, its client "
        "gets the first and never the other: this one was held to the first, and not reset."
    ),
    N_(
        "The server answered in TLS before its client had asked. Where connections are cut, no "
        "more of it gets through: this one was held, and not reset."
    ),
    N_("The encrypted part began behind a dialogue in clear text (%(protocol)s)."),
    N_(
        "The client says hello as %(family)s does (list %(list)s); so do other programs with the "
        "same library."
    ),
    N_(
        "%(what)s is on the list %(list)s as %(called)s. Much can change hands in that time, so it "
        "is told and not cut."
    ),
    N_(
        "%(what)s is on the list %(list)s as %(called)s, last seen %(day)s, %(when)s. Much can "
        "change hands in that time, so it is told and not cut."
    ),
    N_("%(what)s is on the list %(list)s as %(called)s."),
    N_("%(what)s is on the list %(list)s as %(called)s, last seen %(day)s, %(when)s."),
    N_('The connection matches rule %(rule)s of the list %(list)s: "%(text)s".'),
    N_(
        "This connection hid the server's certificate; the box asked the server for it, in a "
        "handshake of its own."
    ),
)

# `ratwall.rhythm.decide`, `ratwall.loops.attempts` and `ratwall.detections`
OVER_TIME = (
    N_(
        "The device reports in %(beats)s times in a row, each time after ten to fifteen seconds, "
        "%(seconds)s on average, as remote-control tools do."
    ),
    N_("The device reports in like a clock: %(beats)s times, every %(seconds)s seconds."),
    N_("The device reports in %(beats)s times, every %(length)s."),
    N_(
        "Inside an encrypted connection to a server that is new here: The device reports in "
        "%(beats)s times, every %(length)s."
    ),
    N_(
        "Each message has its length in a small record of its own in front: AsyncRAT and its "
        "relatives write like that, few others do."
    ),
    N_("Each report is answered, and the answer acknowledged, as these families do."),
    N_("The connection was opened by address: its hello names no server."),
    N_("It speaks %(version)s, which hardly any program of today asks for."),
    N_("One device of this office had to do with the server, and not for longer than a week."),
    N_(
        "%(devices)s devices of this office had to do with the server, and not for longer than a "
        "week."
    ),
    N_(
        "One device of this office had to do with the server, and not for longer than a week. "
        "Ratwall is new here itself, so that says little yet."
    ),
    N_(
        "%(devices)s devices of this office had to do with the server, and not for longer than a "
        "week. Ratwall is new here itself, so that says little yet."
    ),
    N_(
        "The device tries to reach this server again and again, every %(seconds)s seconds and "
        "never more slowly, as remote-control tools do whose server is away."
    ),
    N_(
        "It sleeps for the same time after each attempt has failed, however long that took: a "
        "timer would go on meanwhile."
    ),
    N_("It tries several ports: %(ports)s."),
    N_("Port %(port)s is one that such tools use by default."),
    N_("Port %(port)s is not one that web sites and most programs use."),
    N_("Nobody here looked the server up by a name: the program knows its address."),
    N_("No other device of this office has to do with the server."),
    N_("Only one other device of this office has to do with the server."),
    N_("%(number)s connections to this server, begun like a clock: %(score)s/100."),
    N_(
        "%(number)s connections to this server within an hour, at regular intervals "
        "(%(score)s/100): a program that never gives up."
    ),
    N_("The device calls the server by its address: no name was asked for or given."),
    N_("The server made its certificate itself."),
    N_("Encrypted traffic on port %(port)s, where none is expected."),
    N_("The device tries this one server on several unusual ports: %(ports)s."),
    N_("The attempts come like a clock (%(score)s of 100 for regularity)."),
    N_(
        "%(number)s encrypted connections to a server that is unusual in every way: its "
        "certificate, its port, and how the program says hello."
    ),
    N_("The server vouches for itself, has no name, and is new here."),
    N_(
        "For %(hours)s hours the device made at least %(number)s connections an hour to this "
        "server; with others it makes %(usual)s in a busy hour."
    ),
    N_(
        "%(number)s attempts to reach this server within an hour were refused or not answered, "
        "and the device goes on trying."
    ),
)

# `ratwall.controller.protection`, `ratwall.controller.story` and `ratwall.update.attempt`
BOX = (
    N_("the rules are not in the kernel: traffic passes uninspected"),
    N_("the inspector does not answer: traffic passes uninspected"),
    N_("no inspector was running"),
    N_("no inspector is running: traffic passes uninspected"),
    N_("nothing is inspected for a while; what was blocked stays blocked"),
    N_("monitor mode: connections are judged, none is cut"),
    N_("waiting for the inspector"),
    N_("the controller ended without a word and was started again"),
    N_("Ratwall was not running"),
    N_("Ratwall was stopped"),
    N_("The update to version %(new)s did not work, and version %(old)s runs on. Reason: %(why)s"),
    N_("Updated: version %(version)s runs and works."),
    N_("Version %(version)s is new and being checked."),
    N_("Version %(version)s is being installed."),
    N_("Version %(version)s is installed. It starts when the box restarts."),
)

# Refusals and failures that an owner meets.
REFUSED = (
    N_("%(path)s: Ratwall is not running; start it with: ratwall run"),
    N_("%(path)s: no answer within %(number)s s"),
    N_("%(path)s: Ratwall closed the connection unanswered"),
    N_("%(path)s: there is no ledger yet: it is made when Ratwall first runs"),
    N_("%(path)s: cannot open the ledger: %(why)s"),
    N_("undo: action %(number)s is not in force"),
    N_("block: %(server)s is on the never-block list"),
    N_("quarantine: %(device)s is on the never-block list: the box or its gateway"),
    N_("there is no incident %(number)s"),
    N_("the exporter does not answer; it is started again by itself, try again in a minute"),
    N_("update: another one is being installed; wait for it"),
    N_("support-on: it is on already; switch it off first"),
    N_("it is no update; expected a file that ends in .raucb"),
    N_("the server answers %(number)s"),
    N_("the server does not say how long it is"),
)

# How long ago: these come into a sentence as `span`.
SPANS = (
    N_("less than a minute"),
    N_("1 minute"),
    N_("%(number)s minutes"),
    N_("1 hour"),
    N_("%(number)s hours"),
    N_("1 day"),
    N_("%(number)s days"),
    N_("a remote-control server"),
    N_("%(number)s seconds"),
    N_("today"),
    N_("a day ago"),
    N_("%(number)s days ago"),
    N_("used for harm"),
    N_("The name asked for"),
    N_("The server's certificate"),
    N_("This server"),
    N_("This server, on this port,"),
)

ALL = (*HEADLINES, *SIGNATURES, *JUDGED, *OVER_TIME, *BOX, *REFUSED, *SPANS)
