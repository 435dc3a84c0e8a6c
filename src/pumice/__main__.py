"""`python -m pumice`."""

import sys

from pumice.cli.main import main

sys.exit(main())
