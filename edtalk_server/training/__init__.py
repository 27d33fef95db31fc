"""How networks are taught: one loop, the starter's stages, the paper's stages, fine-tuning, speech."""
