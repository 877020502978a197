"""Networks in plain torch: modules only, no file access."""
