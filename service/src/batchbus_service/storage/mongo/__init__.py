"""The job store, on MongoDB and in memory."""
