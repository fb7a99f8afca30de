"""Updates: a signed bundle into the other slot, a trial of it, and back if it does not hold."""
