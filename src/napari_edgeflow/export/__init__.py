"""Writers for masks."""
