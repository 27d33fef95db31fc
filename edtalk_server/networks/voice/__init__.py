"""Networks that hear: from a voice's prosody to movements of the head, and with its words to what is felt.

Rule of this package: as its parent's, torch and NumPy alone.
"""
