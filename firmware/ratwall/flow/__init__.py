"""State of one connection and the bounded table of all of them; pure, no sockets, no clock."""
