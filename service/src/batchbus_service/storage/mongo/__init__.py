"""The one wing that knows MongoDB: every store on it, the embedded server, and what strategies are lent."""
