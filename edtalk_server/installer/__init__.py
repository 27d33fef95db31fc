"""What `install.py` does: environments, the server, a Blender to run it in, the demo, the tests, a release.

Rule of this package: it imports only the standard library and `shared_protocol.paths`, because it runs before anything
is installed. The programs that it sets up run in their own processes. Outside the checkout it changes only the record
that tells the add-on where the server is.
"""
