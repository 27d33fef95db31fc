"""Files of pictures, sound and video, and what must happen to them before and after the networks.

Rule of this package: it never imports torch. Portraits in (`portrait`, `faces`), voices in (`audio`, `mel`), frames out
(`sequence`, `video`), each marked as synthetic by the writer itself (`provenance`).
"""
