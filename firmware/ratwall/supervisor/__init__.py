"""`ratwall run`: the three processes and the rules, as one foreground command."""
