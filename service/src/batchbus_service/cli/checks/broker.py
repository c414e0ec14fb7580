"""Whether the broker works, and has what batchbus needs."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from batchbus_service.cli.checks.check import LONGEST_LOOK, Check
from batchbus_service.cli.checks.clocks import Clocks

if TYPE_CHECKING:
    from batchbus_service.domain.settings import Settings

__all__ = ["broker"]

_RESOLUTION: Final = timedelta(seconds=1)
"""To which RabbitMQ cuts times."""


async def broker(settings: Settings, clocks: Clocks, *, repair: bool) -> Check:
    """Whether it can be reached, and has every exchange and queue; its clock is noted in `clocks`."""
    from batchbus_events import topics
    from batchbus_events.bus import BusError, TopologyMismatch, VhostUnavailable

    if settings.embedded_broker:
        return Check("broker", True, "embedded, within the process")
    from batchbus_events.rabbitmq import RabbitBus

    try:
        async with (
            asyncio.timeout(LONGEST_LOOK),
            RabbitBus.open(settings.amqp_url, name="batchbus doctor", declare=repair) as bus,
        ):
            missing = await bus.missing()
            asked = clocks.now()
            if (time := await bus.time()) is not None:
                clocks.compare("the broker", time, asked, resolution=_RESOLUTION)
        if len(missing) == len(topics.EXCHANGES) + len(topics.shared_queues()):
            return Check("broker", True, "RabbitMQ, with nothing of batchbus yet; the first process declares it")
        if missing:
            return Check(
                "broker",
                False,
                f"RabbitMQ lacks what batchbus needs: {', '.join(missing)}",
                "Start a process of batchbus, which declares it; or run `batchbus doctor --repair`.",
            )
        return Check("broker", True, "RabbitMQ, with every exchange and queue in place")
    except TopologyMismatch as error:
        return Check("broker", False, str(error), "Delete the queue or exchange that it names, once it is empty.")
    except VhostUnavailable as error:
        return Check(
            "broker",
            False,
            f"{error}. BATCHBUS_AMQP_URL names it behind its last slash.",
            f"`rabbitmqctl add_vhost {error.vhost}` makes it, and `rabbitmqctl set_permissions -p {error.vhost} {error.user} '.*' "
            "'.*' '.*'` opens it to that user; docs/access.md has narrower rights. Or name another one.",
        )
    except (BusError, TimeoutError) as error:
        reason = str(error) or f"no answer within {LONGEST_LOOK:g} seconds"
        return Check(
            "broker",
            False,
            f"RabbitMQ cannot be used: {reason}",
            "Check BATCHBUS_AMQP_URL, that the server runs, and its user's password and permissions.",
        )
