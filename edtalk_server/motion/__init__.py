"""A performance from a voice, words or a video: weights over time, ready to become curves.

Rule of this package: it works on weights, never on pixels, and gives the same numbers for a part of a voice as for the
whole.
"""

from edtalk_server.motion.capture import Captured, CaptureSettings, capture
from edtalk_server.motion.idle_motion import IdleMotion
from edtalk_server.motion.performance import ChosenEmotion, Predicted, PredictOptions, perform, predict

__all__ = [
    "CaptureSettings",
    "Captured",
    "ChosenEmotion",
    "IdleMotion",
    "PredictOptions",
    "Predicted",
    "capture",
    "perform",
    "predict",
]
