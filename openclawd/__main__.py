"""`python -m openclawd` is the `openclawd` command."""

import sys

from openclawd.cli.main import main

sys.exit(main())
