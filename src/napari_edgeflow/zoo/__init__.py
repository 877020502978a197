"""Models by name: what exists, where the weights are, how a network is built from them."""
