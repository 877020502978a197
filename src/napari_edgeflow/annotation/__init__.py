"""What the user made: classes, objects, labels; every step on disk and undoable."""
