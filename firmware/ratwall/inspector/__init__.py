"""The process between the kernel's queue and its verdicts."""
