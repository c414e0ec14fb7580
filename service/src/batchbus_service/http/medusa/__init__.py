"""The routes that answer as Medusa v1 does."""
