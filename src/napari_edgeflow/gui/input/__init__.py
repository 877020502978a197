"""What the hand does: mouse, keys, hover and their settings."""
