"""`ratwall doctor`: what is wrong with the machine around Ratwall, and what a killed one left."""
