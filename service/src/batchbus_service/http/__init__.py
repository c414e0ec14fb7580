"""The HTTP API: Medusa v1's batch-job routes, event streams, uploads, and what operators need beside them."""
