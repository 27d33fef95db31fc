"""Samples that ship with the project. `portrait.png` is a rendered person who does not exist (CC0)."""
