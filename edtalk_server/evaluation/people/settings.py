"""What the rendered hold-out set is made with. A change here makes a new set."""

SIZE = 256
SEED = 30
"""Training has seeds 1 to 19, the people watched while training 21 and more: nobody has looked at these."""
MOTION_PEOPLE = 10
"""So many of the people also move smoothly, for flicker."""
MOTION_FRAMES = 10
STILL_MARGIN = 7
"""Pixels that a background pixel must be away from all that ever moves."""
