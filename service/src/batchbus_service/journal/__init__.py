"""How a job changes, and how the world learns of it."""
