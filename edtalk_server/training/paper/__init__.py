"""The paper's training (EDTalk, ECCV 2024), stage by stage, for the exact networks of `networks.edtalk`.

`config` says what a run does, `model` is what is trained, each file of `reconstruction`, `decoupling` and `expression`
is one stage's step, `losses`, `truth` and `perceptual` are what it descends, and `run` is the loop that can be killed
at any moment. A stage sees data only as `training.datasets.interface.ClipSet`; what rendered truth adds is switched on
by a batch that carries it.
"""
