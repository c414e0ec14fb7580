"""Sample files: a small one to look at, and a script that makes large ones."""
