"""The HTTP API, over real connections to a server in this process."""
