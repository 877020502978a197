"""Click maps for the network, and the rule that simulates a user's next click."""
