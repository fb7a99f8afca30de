"""The controller's box again: the command line talks to a real controller."""

from unit.controller.conftest import box, inspector, running

__all__ = ["box", "inspector", "running"]
