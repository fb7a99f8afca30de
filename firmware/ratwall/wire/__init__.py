"""Sans-IO parsers: bytes in, facts out; no socket, no clock, no state beyond one connection."""
