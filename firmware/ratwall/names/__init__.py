"""Names: DNS answers read, and kept as which server was asked for by which name."""
