"""`python -m ratwall`: the same as the `ratwall` command."""

import sys

from ratwall.cli.main import main

sys.exit(main())
