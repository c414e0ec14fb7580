"""What is said while something is broken, asked as an operator asks: readiness, `doctor`, `batchbus show`, metrics.

`batchbus serve` runs beside the workers. Its readiness is asked all the time: a check that has nothing to do with what
is broken must never be named.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

import httpx

from tests.engine.installation import Installation
from tests.environment import without_settings
from tests.http.processes import ServerProcess

__all__ = ["NoWatch", "Watch", "Watcher"]

_COMMAND: Final = Path(sys.executable).with_name("batchbus")
_ASK_EVERY: Final = 0.5
_ANSWER_SECONDS: Final = 30.0
"""For one question. A readiness that hangs is a fault of its own, and is found as one."""
_NAMES_DATABASE: Final = re.compile(r"database|MongoDB")
_DOCTOR_LOOKS_AT: Final = {"database", "broker"}
"""Of what readiness names, what `doctor` looks at itself."""


class Watcher(Protocol):
    """Judges what is said while something is broken, and when all is well again."""

    job: str
    """A job that is there, to be shown."""
    faults: list[str]
    """What was said and should not have been, and what was not said and should have been."""

    async def broken(self, names: Collection[str], *, within: float) -> None:
        """To be called while it is broken: all that looks must name this, and nothing else. `within`: seconds."""

    async def well(self, *, within: float) -> None:
        """To be called when all is well: nothing is named any more, after so many seconds."""


class NoWatch:
    """A `Watcher` that judges nothing, for rounds that must be short: the processes that are asked take their time."""

    def __init__(self) -> None:
        self.job = ""
        self.faults: list[str] = []

    async def broken(self, names: Collection[str], *, within: float) -> None: ...

    async def well(self, *, within: float) -> None: ...


class Watch:
    """Use it as `async with Watch.over(installation, amqp_url, may_name=…) as watch`."""

    def __init__(
        self, server: ServerProcess, http: httpx.AsyncClient, environment: dict[str, str], may_name: Collection[str]
    ) -> None:
        self._server = server
        self._http = http
        self._environment = environment
        self._may_name = frozenset(may_name)
        self.faults: list[str] = []
        self.job = ""
        self._named: dict[str, str] = {}
        self._asked = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def over(
        cls, installation: Installation, amqp_url: str, *, may_name: Collection[str]
    ) -> AsyncIterator[Watch]:
        """`amqp_url`: by which way the server reaches the broker. `may_name`: checks that the fault concerns."""
        secret = {"jwt_secret": "of this round alone"}
        environment = installation.environment(amqp_url=amqp_url, log_level="error", **secret)
        async with (
            ServerProcess.start("serve", environment, installation.folder / "server.log") as server,
            httpx.AsyncClient(
                base_url=server.url, headers={"x-medusa-access-token": server.token}, timeout=_ANSWER_SECONDS
            ) as http,
        ):
            reached = {"BATCHBUS_URL": server.url, "BATCHBUS_TOKEN": server.token, "COLUMNS": "200"}
            watch = cls(server, http, {**without_settings(), **environment, **reached}, may_name)
            asking = asyncio.create_task(watch._keep_asking())
            try:
                yield watch
            finally:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)

    async def broken(self, names: Collection[str], *, within: float) -> None:
        if not await self._until(lambda: self._named.keys() >= set(names), within):
            missing = ", ".join(sorted(set(names) - self._named.keys()))
            self.faults.append(f"readiness did not name {missing} within {within:g} s")
            return
        await self._doctor_names({*_DOCTOR_LOOKS_AT.intersection(names), "service"})
        await self._metrics_say(connected="broker" not in names)
        await self._job_is_shown(readable="database" not in names)

    async def well(self, *, within: float) -> None:
        if not await self._until(lambda: not self._named, within):
            self.faults.append(f"readiness still names what is over after {within:g} s: {self._named}")
            return
        await self._doctor_names(set())
        await self._metrics_say(connected=True)
        await self._job_is_shown(readable=True)

    async def _until(self, reached: Callable[[], bool], seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                self._asked.clear()
                await self._asked.wait()  # what was heard before may be old
                while not reached():
                    self._asked.clear()
                    await self._asked.wait()
        except TimeoutError:
            return False
        return True

    async def _keep_asking(self) -> None:
        while True:
            try:
                ready = await self._http.get("/health/ready")
                checks: dict[str, str] = ready.json()["checks"]
            except httpx.HTTPError as error:
                checks = {"readiness itself": f"{type(error).__name__}: {error}"}
            self._named = {name: state for name, state in checks.items() if state != "ok"}
            for name in self._named.keys() - self._may_name:
                fault = f"readiness named {name}, with which nothing was wrong: {self._named[name]}"
                if fault not in self.faults:
                    self.faults.append(fault)
            self._asked.set()
            await asyncio.sleep(_ASK_EVERY)  # as a supervisor does

    async def _doctor_names(self, bad: set[str]) -> None:
        _, said = await self._command("doctor", "--json")
        findings = json.loads(said)["findings"]
        found = {finding["what"]: finding["words"] for finding in findings if not finding["fine"]}
        if found.keys() != bad:
            self.faults.append(f"doctor should name {sorted(bad) or 'nothing'}, and names {found or 'nothing'}")

    async def _metrics_say(self, *, connected: bool) -> None:
        """Only of the broker is there a value that says whether it can be reached."""
        metrics = (await self._http.get("/metrics")).text
        found = re.search(r"^batchbus_bus_connected (\S+)$", metrics, re.M)
        if found is None or (float(found[1]) == 1) != connected:
            self.faults.append(f"the metrics say {found and found[0]!r}, and the broker was {connected=}")

    async def _job_is_shown(self, *, readable: bool) -> None:
        """What the database has is shown whatever else is broken; without it the command names the database."""
        if not self.job:
            return
        code, said = await self._command("show", self.job)
        as_expected = (code == 0 and self.job in said) if readable else (code != 0 and _NAMES_DATABASE.search(said))
        if not as_expected:
            self.faults.append(f"`batchbus show` had to be possible: {readable}; it ended with {code}: {said[-500:]!r}")

    async def _command(self, *arguments: str) -> tuple[int, str]:
        """Exit code and output."""
        process = await asyncio.create_subprocess_exec(
            _COMMAND,
            *arguments,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT if arguments[0] == "show" else asyncio.subprocess.DEVNULL,
        )
        output, _ = await process.communicate()
        return await process.wait(), output.decode()
