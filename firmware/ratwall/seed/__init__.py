"""`ratwall.toml` on the boot partition: how a box is set up without a screen or a browser."""
