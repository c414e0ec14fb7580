"""What is wrong with the lines of a file, as it is kept until the error file is written."""

from __future__ import annotations

import pytest

from batchbus_strategies.records.leftovers import BadLines


def test_lines_are_kept_with_their_last_message_in_the_order_of_the_file() -> None:
    lines = BadLines()
    assert not lines
    lines.add({7: "no price", 3: "no title"})
    lines.add({})
    assert len(lines) == 2
    lines.add({7: "no price; left out because of line 3"})
    assert dict(lines) == {3: "no title", 7: "no price; left out because of line 3"}
    assert list(lines) == [3, 7]
    assert 3 in lines and 4 not in lines
    with pytest.raises(KeyError):
        lines[4]
