"""The one training loop, under the starter's stages, the paper's stages, fine-tuning and speech.

`trainer.Trainer` runs it: time or step budget, learning rate, averaged weights (`ema`), metrics (`metrics`),
checkpoints that survive a kill (`checkpoint`), several processes (`processes`), batches made ahead (`prefetcher`). What
is learned, and from what, comes from the subclasses elsewhere; this package imports none of them.
"""
