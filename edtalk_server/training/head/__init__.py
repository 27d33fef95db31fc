"""How heads move while people speak: synthetic truth for the pose flow from published statistics, and its training.

Rule of this package: nobody was filmed for it. What it generates follows figures of the literature, which `movement`
names, and is different for every seed.
"""
