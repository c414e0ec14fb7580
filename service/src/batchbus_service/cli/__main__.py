"""`python -m batchbus_service.cli` is `batchbus`."""

from batchbus_service.cli import main

main()
