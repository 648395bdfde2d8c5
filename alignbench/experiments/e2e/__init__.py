"""End to end: the text that belongs to an image is found after a trained projector."""
