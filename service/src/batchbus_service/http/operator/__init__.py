"""The routes that are batchbus's own."""
