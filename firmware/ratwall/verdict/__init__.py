"""From evidence to a verdict, its memory, and the words for it."""
