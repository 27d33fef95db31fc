"""What the add-on and the server agree on.

Rule of this package: it imports the standard library, msgpack and NumPy (1.26 or 2.x), and nothing else:
never `bpy`, `torch` or `zmq`. It runs unchanged inside Blender's Python and inside the server's.
"""

__version__ = "0.4.0"
"""Version of the whole project: the server, the extension and this package take it from here."""
