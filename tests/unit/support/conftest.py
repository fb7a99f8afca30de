"""The controller's box again: a bundle asks a real controller."""

from unit.controller.conftest import box, running

__all__ = ["box", "running"]
