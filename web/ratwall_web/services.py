"""What the views work with, made once per application and found from any request.

Holds no request's data: whatever is here is shared by all threads and guards itself.
"""

import hashlib
import hmac
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from flask import current_app

from ratwall_web.certificates import Certificates
from ratwall_web.config import Config
from ratwall_web.control import Control
from ratwall_web.credentials import Credentials
from ratwall_web.first_run import FirstRun
from ratwall_web.lockout import Lockout
from ratwall_web.records import Records, Row, now_us
from ratwall_web.second_step import SecondStep
from ratwall_web.sessions import Sessions
from ratwall_web.setup_code import SetupCode
from ratwall_web.sharing import Shared
from ratwall_web.tokens import Tokens
from ratwall_web.uploads import Uploads

EXTENSION = "ratwall"
# Each tab asks every two seconds: half of that, and no tab is ever two drawings behind.
DASHBOARD_KEPT_S = 1.0
MONTH_KEPT_S = 60.0  # of a chart of days


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one admin page."""

    config: Config
    credentials: Credentials
    setup_code: SetupCode
    sessions: Sessions
    lockout: Lockout
    second_step: SecondStep
    wrong_codes: Lockout
    certificates: Certificates
    tokens: Tokens
    wrong_tokens: Lockout
    records: Records
    control: Control
    first_run: FirstRun
    dashboard: Shared[tuple[str, str]]
    month: Shared[list[Row]]
    uploads: Uploads
    csrf_key: bytes = field(repr=False)

    def csrf_token(self, binding: str) -> str:
        """Return the form token of the browser that holds this cookie value."""
        return hmac.new(self.csrf_key, binding.encode(), hashlib.sha256).hexdigest()


def make_services(
    config: Config, clock: Callable[[], float], now: Callable[[], int] = now_us
) -> Services:
    """Make the parts; `clock` is seconds that only ever grow, `now` is UTC microseconds."""
    credentials = Credentials(config)
    return Services(
        config=config,
        credentials=credentials,
        setup_code=SetupCode(config),
        sessions=Sessions(config, clock),
        lockout=Lockout(config, clock),
        second_step=SecondStep(config, credentials, now),
        # By user alone: only whoever gave the password gets here.
        wrong_codes=Lockout(
            replace(
                config,
                tries_per_address=config.code_tries,
                tries_in_all=sys.maxsize,
                lockout_s=config.code_lockout_s,
            ),
            clock,
        ),
        certificates=Certificates(config, now),
        tokens=Tokens(config, now),
        # By address alone: nobody shall be able to hold a monitor elsewhere back.
        wrong_tokens=Lockout(
            replace(config, tries_per_address=config.token_tries, tries_in_all=sys.maxsize), clock
        ),
        records=Records(config.ledger_path),
        control=Control(config.control_socket, clock),
        first_run=FirstRun(config),
        dashboard=Shared(clock, DASHBOARD_KEPT_S),
        month=Shared(clock, MONTH_KEPT_S),
        uploads=Uploads(config.web_dir),
        csrf_key=secrets.token_bytes(32),
    )


def services() -> Services:
    """Return the parts of the application that handles this request."""
    found: Services = current_app.extensions[EXTENSION]
    return found
