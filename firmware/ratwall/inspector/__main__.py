"""`python -m ratwall.inspector`."""

import sys

from ratwall.errors import RatwallError
from ratwall.inspector.process import main

try:
    main()
except RatwallError as error:
    print(f"ratwall: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
