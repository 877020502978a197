"""The napari-edgeflow command, one file per command."""
