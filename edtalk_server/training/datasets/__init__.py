"""The data of the stages: clips of people, rendered or filmed, behind one interface (`interface.ClipSet`).

A stage never asks where a clip comes from, only what comes with it: filmed clips have pictures and landmarks, rendered
ones also the truth (weights, and for every pixel where the source picture shows it).
"""
