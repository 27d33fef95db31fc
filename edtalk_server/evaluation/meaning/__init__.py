"""What the weights of a finished bundle mean, measured.

How well each basis is read and drawn, what is usual for it, which expression weights make the eight emotions; order,
signs and names for bases that training left without.
"""
