"""Polygon editing in a Shapes layer."""
