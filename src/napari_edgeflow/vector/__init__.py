"""Polygons from masks, masks from polygons, and edits of polygons."""
