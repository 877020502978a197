"""Images of any size behind one protocol, read by window; free of torch, Qt and napari."""
