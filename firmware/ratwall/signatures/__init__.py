"""Signature packs: what is worth points, as data, and the matching of it."""
