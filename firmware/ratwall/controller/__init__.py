"""The controller: takes reports in, keeps the ledger and the kernel's blocks, answers commands."""
