"""The `ratwall` command: parses, asks, prints; decides nothing."""
