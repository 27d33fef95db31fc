"""What the weights of a finished bundle mean, measured.

How well each basis is estimated and rendered, its usual values, the expression weights of the eight emotions; order,
signs and names for bases that training left unnamed.
"""
