"""Training of the networks: sampling, augmentation, losses, loop."""
