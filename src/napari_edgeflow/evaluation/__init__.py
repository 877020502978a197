"""Simulated users: clicks needed, accuracy after each click, reports."""
