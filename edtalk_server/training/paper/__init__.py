"""The paper's training (EDTalk, ECCV 2024), stage by stage, for the exact networks of `networks.edtalk`.

`config` describes a run, `model` is what is trained, `reconstruction`, `decoupling` and `expression` are one stage
each, `losses`, `supervision` and `perceptual` are their losses, and `trainer` runs a stage in the common loop. A stage
sees data only as `training.datasets.interface.ClipSet`; losses from rendered truth are added where the data have it.
"""
