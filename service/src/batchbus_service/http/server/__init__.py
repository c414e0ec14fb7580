"""The HTTP server: connections, slow clients, heads, errors, and what every route works with."""
