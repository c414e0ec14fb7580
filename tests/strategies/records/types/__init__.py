"""Records of a shop, each declared as its author would, and each with a test class that runs the contract over it."""
