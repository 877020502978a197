"""Clicks to masks without a window: predictor, zoom, session."""
