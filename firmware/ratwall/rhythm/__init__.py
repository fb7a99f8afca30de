"""What the timing of a connection's records says: from copies of segments to a decision."""
