"""A subscriber that may fail, and may be killed at any moment, and books every event exactly once.

    python ledger.py amqp://localhost mongodb://localhost shop

The broker delivers an event at least once, and the subscriber remembers in MongoDB which ones it has handled. Between the
handler's work and that note it may be killed, and the handler sees the event again. So the work and the event's id are
written in one step, here into one document for each job: whoever finds the id there has nothing left to do.

With `--fail-every 3` every third call of the handler fails, before its work or after it, to show that this holds.
"""

from __future__ import annotations

import argparse
import asyncio
from itertools import count
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection
from pymongo.errors import DuplicateKeyError

from batchbus_events.client import Client
from batchbus_events.deduplication import MongoDeduplication
from batchbus_events.event import Event
from batchbus_events.subscriber import Retry


async def book(ledger: AsyncIOMotorCollection[dict[str, Any]], event: Event) -> bool:
    """One update of one document. Returns whether this call did it, and not one before."""
    entry = {"id": event.id, "type": event.type, "sequence": event.sequence}
    try:
        await ledger.update_one(
            {"_id": event.subject, "entries.id": {"$ne": event.id}},
            {"$push": {"entries": entry}, "$inc": {"charges": 1}},
            upsert=True,
        )
    except DuplicateKeyError:  # the job's document is there, and has the event's id
        return False
    return True


async def main() -> None:
    arguments = argparse.ArgumentParser(description="Books every event of every job.")
    arguments.add_argument("amqp_url")
    arguments.add_argument("mongodb_url")
    arguments.add_argument("database")
    arguments.add_argument("--fail-every", type=int, default=0)
    given = arguments.parse_args()

    mongo: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(given.mongodb_url)
    database = mongo[given.database]
    calls = count(1)

    async with Client.connect(given.amqp_url, source="ledger") as client:
        subscriber = client.subscriber(
            "ledger",
            ["batch.#"],
            deduplication=await MongoDeduplication.open(database["handled"]),
            retry=Retry(tries=10, first=0.05),
        )

        @subscriber.on("batch.#", replays="ignore")
        async def booked(event: Event) -> None:
            call = next(calls)
            fails = given.fail_every and call % given.fail_every == 0
            if fails and call % 2:
                raise ConnectionError("before the event was booked")
            if await book(database["ledger"], event):
                print(event.subject, event.sequence, flush=True)
            if fails:
                raise ConnectionError("after the event was booked")

        await subscriber.run()


asyncio.run(main())
