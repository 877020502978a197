"""The annotations of an image: journal, steps, undo, and who keeps contested pixels."""
