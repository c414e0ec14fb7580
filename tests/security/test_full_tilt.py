"""One member asks for all they can get, for two minutes: health is answered, and a neighbour's job gets done.

The long form judges by time, and by ratios of times of one run where it can; the short one sees that everything is done.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.long import LONG
from tests.security.full_tilt import FullTilt

_SECONDS: Final = 120.0 if LONG else 3.0
_IDLE: Final = 5 if LONG else 1
_HEALTH_SECONDS: Final = 0.25
_TIMES: Final = 3.0


@pytest.mark.embedded
@pytest.mark.slow
async def test_one_member_at_full_tilt_keeps_neither_health_nor_a_neighbours_job_waiting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with FullTilt.on_a_server(tmp_path) as tilt:
        measured = await tilt.run(seconds=_SECONDS, idle=_IDLE)
    with capsys.disabled():
        print(f"\n{measured}")
    assert measured.health and measured.busy
    done = {what.split()[0] for what in measured.answers}
    assert done == {"upload", "stream", "make", "hostile"}
    assert not [answer for answer in measured.answers if " 5" in answer], measured.answers
    if LONG:
        assert measured.health_p99 < _HEALTH_SECONDS
        assert max(measured.busy) < _TIMES * max(measured.idle)
