"""The official face template: where the 68 landmarks are in a 256 x 256 crop.

iBUG 68-point order (jaw, brows, nose, eyes, outer lips, inner lips; "left" is the picture's left). Values: EDTalk
release, `M003_template`, used by its crop for images.
"""

from __future__ import annotations

SIZE = 256
"""Side of the crop in which the points are given, in pixels."""

# fmt: off
POINTS: tuple[tuple[int, int], ...] = (
    # jaw
    (61, 119), (62, 137), (65, 156), (69, 173), (75, 189), (86, 203), (101, 213), (117, 221), (135, 224),
    (152, 221), (165, 211), (175, 199), (183, 184), (187, 168), (189, 151), (192, 135), (194, 118),
    # brows
    (77, 109), (87, 99), (102, 95), (117, 96), (132, 101),
    (146, 101), (159, 98), (171, 97), (183, 100), (190, 110),
    # nose
    (140, 111), (140, 121), (142, 132), (143, 143), (127, 154), (134, 155), (141, 157), (147, 155), (152, 153),
    # eyes
    (94, 114), (102, 109), (111, 109), (118, 114), (111, 116), (102, 116),
    (154, 115), (161, 109), (170, 110), (176, 114), (170, 117), (162, 116),
    # outer lips
    (112, 180), (123, 175), (133, 172), (139, 174), (146, 172), (155, 175),
    (161, 180), (154, 187), (146, 190), (139, 190), (132, 189), (122, 186),
    # inner lips
    (117, 180), (132, 178), (139, 178), (146, 178), (158, 180), (146, 181), (139, 181), (132, 181),
)
# fmt: on
"""(x, y) in pixels of the crop, y down."""
