"""Stage 4 of the paper (section 3.3): the audio encoder, taught by the frozen face and by a sync expert of its own."""
