"""Ratwall: cuts remote-access trojans off inside TLS, on a small box between switch and router.

The folders stand in the order that data takes: kernel, queue, wire, flow, signatures, verdict,
reports, controller, ledger. None of them imports one that comes later in the path.
"""

__version__ = "0.1.0"
