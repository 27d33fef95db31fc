"""`python -m edtalk_server.cli`: the same as `edtalk`."""

import sys

from edtalk_server.cli import main

sys.exit(main())
