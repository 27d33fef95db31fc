"""Networks that hear: from a voice's prosody to movements of the head.

Rule of this package: as its parent's, torch and NumPy alone.
"""
