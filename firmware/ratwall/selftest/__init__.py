"""The box's proof to itself that it cuts: a handshake with a RAT's outside, sent through it."""
