"""The paper's figures as code: encoder, banks, generator, expression enhancement, audio to lip; the compact network of
the starter; `fast`, the optimised path.

Rule of this package: pure maths. It imports torch (and NumPy) alone; no device choice, no file, no command line.
Every size is a field of a frozen config.
"""
