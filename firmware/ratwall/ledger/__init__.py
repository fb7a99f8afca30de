"""The box's memory in SQLite: tables, the file and its health, writing, reading, retention."""
