"""What the timing of whole connections says: who tries again and again, and like what."""
