"""A box in QEMU: a disk image treated as hardware, with cables into the lab's namespaces."""
