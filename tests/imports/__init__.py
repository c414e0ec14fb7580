"""Product imports through the whole engine, on real parts: what is left in the catalogue, whatever happens meanwhile."""
