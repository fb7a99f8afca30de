"""A small office, a box and an internet, laid out in network namespaces of this machine.

The lab has the outside of the malware (certificate shape, TLS version, record sizes, heartbeat,
reconnect loop) and no function of it: what it sends is zero bytes. It never touches a network that
it did not make: its namespaces have no uplink, its addresses are private or for documentation.
"""
