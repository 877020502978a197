"""Clicks become masks: the click log, its layers, active objects and what the worker answers."""
