"""Help from outside: a file that says how the box fares, and a door that closes by itself."""
