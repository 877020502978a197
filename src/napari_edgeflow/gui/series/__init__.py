"""A series of images: which ones, where they are, switching, export of all."""
