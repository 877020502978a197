"""Reading and writing files on behalf of napari and the panels."""
