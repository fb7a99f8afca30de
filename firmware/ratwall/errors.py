"""The base error, and the exit codes of the command line.

An error message is one line and says what, where, what is allowed, what was found, what to do.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the `ratwall` command returns to its caller."""

    OK = 0
    FAILED = 1
    USAGE = 2  # bad arguments, bad settings, unreadable input
    NOT_PERMITTED = 3  # root or a capability is missing
    NOT_RUNNING = 4  # the controller does not answer
    FOUND = 10  # `replay` saw something at alert or above


class RatwallError(Exception):
    """Anything a user can mend; its text is shown as it is, without a trace."""

    exit_code = ExitCode.FAILED


class UsageError(RatwallError):
    """Bad argument, setting or input file."""

    exit_code = ExitCode.USAGE


class NotPermittedError(RatwallError):
    """Root, or a capability, is missing."""

    exit_code = ExitCode.NOT_PERMITTED


class NotRunningError(RatwallError):
    """The controller's socket does not answer."""

    exit_code = ExitCode.NOT_RUNNING
