"""Data sets for training and evaluation, read from folders of images and masks."""
