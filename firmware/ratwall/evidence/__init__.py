"""The evidence package: all that is known of one incident, in one file that others can check."""
