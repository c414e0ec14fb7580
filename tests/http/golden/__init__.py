"""Exchanges with a real Medusa 1.20.10, replayed against this server."""
