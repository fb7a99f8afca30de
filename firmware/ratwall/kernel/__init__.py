"""What Ratwall asks of the kernel: nftables rules and sets, the queue's switch, conntrack events.

Everything here is undone by the same module that did it.
"""
