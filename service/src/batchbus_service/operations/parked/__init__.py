"""Messages that nobody could use: kept with their reason, shown to operators, put back or discarded."""
