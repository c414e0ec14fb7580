"""Runs in processes of their own: a strategy that ends its process, or fills its memory, harms no other job.

The worker alone holds the lease, writes the job and talks to the broker. A child has the strategy, its event loop, and
clients of the catalogue and the file store; what becomes of the run it tells its worker over a pair of sockets.
"""

from batchbus_service.execution.isolation.isolated import Placement
from batchbus_service.execution.isolation.setup import Setup

__all__ = ["Placement", "Setup"]
