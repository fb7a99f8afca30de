"""Judging capture files with the very code that judges packets inline."""
