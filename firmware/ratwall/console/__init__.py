"""What the box shows on its screen and serial line instead of a log-in prompt."""
