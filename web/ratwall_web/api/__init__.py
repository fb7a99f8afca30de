"""The HTTP API under `/api/v1`, and `/metrics`: what the page can do, for programs with a token.

It is no second way to do a thing: it reads with the page's queries and changes by the same commands
to the controller. A browser's cookie counts for nothing here, so no other web site can make use of
one. `openapi.json` describes all of it, and the tests hold the two together.
"""
