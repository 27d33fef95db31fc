"""Set up EDTalk for Blender from a checkout: `python3 install.py --help` says how (Windows: `py`).

Standard library only. This file is the front door: it asks for a Python that is new enough (any Python 3 can read
it) and leaves the rest to `edtalk_server/installer`.
"""

import sys


def python_problem(version):  # type: ignore[no-untyped-def]
    """Why this Python will not do, in one sentence; None when it will."""
    if tuple(version[:2]) >= (3, 11):
        return None
    return (
        "EDTalk needs Python 3.11 or newer and this is Python {}.{}. "
        "Install a newer Python and run it with that one, for example: python3.11 install.py"
    ).format(*version[:2])


if __name__ == "__main__":
    if python_problem(sys.version_info):
        sys.exit(python_problem(sys.version_info))
    from edtalk_server.installer.command import main

    sys.exit(main(sys.argv[1:]))
