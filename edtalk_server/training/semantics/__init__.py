"""Trains the network that reads feelings from words and sound: on own sentences and synthetic emotional speech, or,
in the paper's form, on prepared film.

Sentences, grammar and lexicon are written for this project and dedicated to the public domain (CC0).
"""
