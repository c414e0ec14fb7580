"""The events of batchbus, and a client for services that start batch jobs or follow them."""
