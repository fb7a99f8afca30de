"""What goes wrong with an emulated box, told with the end of its console."""

from ratwall_lab.namespaces import LabError


class MachineError(LabError):
    """The box ended, panicked, or did not do in time what was waited for."""
