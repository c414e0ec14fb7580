"""What keeps strangers from the service's data and time: tests of whole kinds of faults, and not of single ones."""
