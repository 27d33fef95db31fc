"""Following a filmed face: estimates of its weights are corrected until the network draws what the film shows.

Rule of this package: it sees the network only as functions from weights to what is drawn, and from pictures to what is
seen in them.
"""
