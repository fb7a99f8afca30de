"""`scripts/flash`: an image onto a card or disk, with a seed in it, and read back."""
