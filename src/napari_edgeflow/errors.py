"""Errors of napari-edgeflow; every message says what was expected, what came and what to do."""

from __future__ import annotations


class EdgeFlowError(Exception):
    """Base of every error that is about files, rasters, weights or devices."""


class RasterError(EdgeFlowError):
    """An image cannot be used: its shape, type or values, or it cannot be read."""


class WeightsError(EdgeFlowError):
    """A weights file is missing, corrupt, of another network, or fails its hash."""


class DeviceError(EdgeFlowError):
    """The device asked for is not on this machine or cannot run the network."""


class ExportError(EdgeFlowError):
    """A result cannot be written in the form asked for."""


class AnnotationError(EdgeFlowError):
    """A file of classes or annotations is not what its format promises."""


class JournalError(EdgeFlowError):
    """The journal of a project cannot be read or written."""


class JournalLockedError(JournalError):
    """Somebody else writes to the journal."""


class DatasetError(EdgeFlowError):
    """A data set's folder, image or mask is not what its format promises."""


class Cancelled(EdgeFlowError):
    """The caller asked for the work to stop before it was done."""
