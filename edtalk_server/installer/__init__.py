"""What `install.py` does: environments, the server, a Blender to show it in, the demo, the tests, a
release.

Rule of this package: the standard library and `shared_protocol.paths`, nothing else, because it runs before anything
is installed. Programs it sets up run as processes of their own. It changes nothing outside the checkout but the record
that tells the add-on where the server is.
"""
