"""`python -m ratwall_web`: the admin page's own process, unprivileged, over HTTPS.

It never runs as part of another process and needs no right but to its own directory
`<state>/web`. Start it as a user of its own; the supervisor and the unit file do.
"""

import argparse
import ctypes
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from ratwall.address import parse_place, place
from ratwall.errors import ExitCode, RatwallError, UsageError
from ratwall.inspector.heartbeat import Heartbeat
from ratwall_web import create_app
from ratwall_web.certificate import provide_certificate
from ratwall_web.config import Config
from ratwall_web.credentials import Credentials
from ratwall_web.services import EXTENSION, Services
from ratwall_web.serving import PageServer, inherited_socket, open_socket

DEFAULT_LISTEN = "127.0.0.1:8443"
BEAT_SECONDS = 5.0  # a page may be late; systemd waits for half a minute
# The C library keeps a heap for each thread, each as large as its largest answer was: sixteen
# workers would hold 40 MB of nothing. Two are enough for what runs at a time.
M_ARENA_MAX, ARENAS = -8, 2
STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})


def main(arguments: list[str] | None = None) -> int:
    """Serve the page until SIGTERM or SIGINT; return the process's exit code."""
    options = _parser().parse_args(arguments)
    _keep_few_heaps()
    try:
        config = Config(state_dir=options.state_dir)
        _prepare(config)
        if options.forget_password:
            return _forget(config)
        if options.forget_second_step is not None:
            return _forget_second_step(config, options.forget_second_step)
        return _serve(config, *parse_listen(options.listen))
    except RatwallError as error:
        print(f"ratwall-web: {error}", file=sys.stderr)
        return error.exit_code


def parse_listen(text: str) -> tuple[str, int]:
    """Return (address, port) of --listen, port 0 for any; UsageError if it is neither."""
    try:
        return parse_place(text, lowest_port=0)
    except ValueError as error:
        raise UsageError(f"--listen {text}: expected {error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ratwall-web", description="Ratwall's admin page.")
    parser.add_argument(
        "--state-dir", type=Path, required=True, help="where the box keeps its state"
    )
    parser.add_argument(
        "--listen", default=DEFAULT_LISTEN, metavar="ADDRESS:PORT", help=f"default {DEFAULT_LISTEN}"
    )
    parser.add_argument(
        "--forget-password",
        action="store_true",
        help="remove all users and all API tokens, show a new set-up code, and exit",
    )
    parser.add_argument(
        "--forget-second-step",
        metavar="NAME",
        help="let this user sign in with the password alone, and exit: for a lost phone",
    )
    return parser


def _keep_few_heaps() -> None:
    with suppress(AttributeError):  # a C library without this keeps one heap, or returns it
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)


def _prepare(config: Config) -> None:
    try:
        config.web_dir.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"--state-dir {config.state_dir}: cannot make {config.web_dir}: {error.strerror}"
        ) from error
    if not os.access(config.web_dir, os.R_OK | os.W_OK | os.X_OK):
        raise UsageError(
            f"{config.web_dir} must belong to the user that runs the admin page (uid {os.getuid()})"
        )


def _forget(config: Config) -> int:
    services: Services = create_app(config).extensions[EXTENSION]
    services.credentials.forget()
    services.tokens.forget()
    services.setup_code.announce()
    _give_to_owner(config, "setup-code")
    return ExitCode.OK


def _forget_second_step(config: Config, name: str) -> int:
    credentials = Credentials(config)
    user = credentials.named(name)
    if user is None:
        names = ", ".join(there.name for there in credentials.all()) or "nobody yet"
        raise UsageError(f"--forget-second-step {name}: no such user; there is: {names}")
    credentials.set_second_step(user.id, None, ())
    _give_to_owner(config, "credentials.json")
    print(f"ratwall-web: {user.name} signs in with the password alone from now on", flush=True)
    return ExitCode.OK


def _give_to_owner(config: Config, name: str) -> None:
    """Hand a file that root has written anew to the page's user."""
    if os.getuid() == 0:
        owner = config.web_dir.stat()
        # The directory is the page's: it may have put a link to a file of root's there.
        os.chown(config.web_dir / name, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _serve(config: Config, host: str, port: int) -> int:
    listener = inherited_socket() or open_socket(host, port)
    host, port = listener.getsockname()[:2]
    boxes = provide_certificate(config, host)
    app = create_app(config)
    services: Services = app.extensions[EXTENSION]
    certificate = services.certificates.start(boxes)
    server = PageServer(app, config, certificate, listener)
    services.certificates.attach(server.use)
    # Blocked before any thread starts, so that all inherit the mask and sigwait gets the signal.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    if not services.credentials.exist():
        services.setup_code.announce()
    failed = threading.Event()
    serving = threading.Thread(target=_run, args=(server, failed), name="serving")
    server.prepare()
    serving.start()
    try:  # else the server's threads would keep a process alive that nobody watches
        url = f"https://{place(host, port)}"
        print(f"ratwall-web: ready {url} fingerprint {certificate.fingerprint()}", flush=True)
        heartbeat = Heartbeat()
        heartbeat.ready()
        while signal.sigtimedwait(STOP_SIGNALS, BEAT_SECONDS) is None:
            heartbeat.beat(time.monotonic())
        heartbeat.stopping()
    finally:
        server.stop()
        serving.join()
    return ExitCode.FAILED if failed.is_set() else ExitCode.OK


def _run(server: PageServer, failed: threading.Event) -> None:
    try:
        server.serve()
    except BaseException:
        failed.set()
        raise
    finally:
        os.kill(os.getpid(), signal.SIGTERM)  # wake the main thread, whatever ended the serving


if __name__ == "__main__":
    sys.exit(main())
