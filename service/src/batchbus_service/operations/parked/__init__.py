"""Messages that could not be used: kept with their reason, shown to operators, put back or discarded."""
