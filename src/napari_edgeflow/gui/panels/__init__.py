"""Parts of the widget."""
