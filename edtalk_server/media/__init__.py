"""Files of pictures, sound and video, and their processing before and after the networks.

Rule of this package: it never imports torch. Portraits come in by `faces`, voices by `audio`, videos by `video`, which
also writes frames; every writer itself marks its files as synthetic (`provenance`).
"""
