"""Everything that makes a box this office's, as one encrypted file."""
