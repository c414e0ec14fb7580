"""Every store in one process: for tests and simulations. They keep nothing."""
