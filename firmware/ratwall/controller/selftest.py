"""How the controller knows the self-test's own connection: a test is no attack, and no history.

Pure. The addresses stand here, before the self-test in the order of the folders, so that the one
who sends and the one who leaves it out of the books cannot disagree. Both ends lie in 192.0.2.0/24,
which is for documentation (RFC 5737): no device of an office has such an address.
"""

from ratwall.controller.messages import FlowReport

CLIENT = "192.0.2.2"
SERVER = "192.0.2.6"
SERVER_PORT = 443  # as ordinary as can be: only the certificate gives it away


def is_selftest(report: FlowReport) -> bool:
    """Say whether a report is of the connection that `ratwall selftest` makes."""
    return report.client == CLIENT and is_selftest_server(report.server, report.server_port)


def is_selftest_server(server: str, port: int) -> bool:
    """Say whether an endpoint is the self-test's, which nobody else can reach."""
    return (server, port) == (SERVER, SERVER_PORT)
