"""X.509 certificates as they stand on the wire, read by hand and with tolerance."""
