"""Trains the audio-to-lip network on speech made here: text -> synthetic voice with phoneme times -> mouth weights.

No recordings are needed. The voices come from speech synthesisers installed on the machine (espeak-ng through its
library, flite as a program where there is one); both are called, not shipped.
"""
