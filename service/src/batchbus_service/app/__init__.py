"""The top floor: settings are read, the parts are put together, and the process lives from its start to its end."""
