"""What operators do to many jobs."""
