"""Jobs that a worker keeps in mind for its next free slots: taken in turn for each user or service, whoever has more of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from batchbus_service.domain.job import Job

__all__ = ["FairQueue"]


class FairQueue:
    """At most `most` jobs, each once. In it, each owner's jobs keep their order.

    A job that is not kept, or makes way, is still in the database, where a look for work finds it.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._of: dict[str, dict[str, Job]] = {}
        """By owner, whose turn is next first, and by id. No owner is without a job."""

    def __len__(self) -> int:
        return sum(map(len, self._of.values()))

    def __iter__(self) -> Iterator[Job]:
        return (job for jobs in self._of.values() for job in jobs.values())

    @property
    def owners(self) -> list[str]:
        """Those who have a job in it."""
        return list(self._of)

    def add(self, job: Job) -> None:
        """Keep the job, in the place of an earlier version of it. If there are `most`, the last of whoever has most makes way."""
        self._of.setdefault(job.owner, {})[job.id] = job
        if len(self) > self._most:
            largest = max(self._of, key=lambda owner: len(self._of[owner]))
            self._of[largest].popitem()
            if not self._of[largest]:
                del self._of[largest]

    def extend(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            self.add(job)

    def refresh(self, job: Job) -> None:
        """Put the job in the place of what is kept of the same version of it, if that is kept."""
        jobs = self._of.get(job.owner, {})
        if (known := jobs.get(job.id)) is not None and known.version == job.version:
            jobs[job.id] = job

    def take(self, may: Callable[[str], bool] = lambda _owner: True) -> Job | None:
        """The next job of the owner whose turn it is, who is last then; None if there is none. `may`: who has a turn at all."""
        owner = next(filter(may, self._of), None)
        if owner is None:
            return None
        jobs = self._of.pop(owner)
        job = jobs.pop(next(iter(jobs)))
        if jobs:
            self._of[owner] = jobs
        return job

    def put_back(self, job: Job) -> None:
        """Give back what `take` has just returned: it comes next."""
        jobs = self._of.pop(job.owner, {})
        self._of = {job.owner: {job.id: job, **jobs}, **self._of}
