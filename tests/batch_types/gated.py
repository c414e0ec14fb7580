"""A batch type that waits: one record is done for each time that the test says `go`."""

import threading

from batchbus_strategies import AnyContext, BatchStrategy, JobRun


class Gated(BatchStrategy[AnyContext]):
    identifier = "gated-strategy"
    batch_type = "gated"
    steps = 3

    def __init__(self) -> None:
        self.gate = threading.Semaphore(0)
        self.started = threading.Event()

    def go(self, times: int = 1) -> None:
        self.gate.release(times)

    def process(self, run: JobRun[AnyContext]) -> None:
        run.expect(self.steps)
        self.started.set()
        for step in range(self.steps):
            while not self.gate.acquire(timeout=0.05):
                run.ensure_lease()
            run.advance(message=f"step {step + 1}")
