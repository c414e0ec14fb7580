"""Tests wait for signals, and never for time: every `sleep` in them has its place here, with the reason why it is there.

Beside each stands a comment with its particulars. Whoever adds one looks first for something that can be waited for.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_TESTS: Final = Path(__file__).parent

_VIRTUAL: Final = (
    *("simulation/replays.py", "simulation/running.py", "engine/world.py", "engine/faulty.py", "benchmarks/engine.py"),
    *(
        "engine/test_early.py",
        "engine/test_handover.py",
        "engine/test_intake.py",
        "engine/test_slow_database.py",
        "journal/test_outbox.py",
        "journal/test_presence.py",
    ),
)
"""Where all of them pass on virtual time, which takes none: see `tests/engine/virtual_time.py`."""

_REASONS: Final = {
    "the time is virtual": {
        "execution/test_limiter.py Process.use",
        "execution/test_limiter.py Store.get",
        "execution/test_limiter.py Store.write",
        "execution/test_slots.py Brief.process",
        "execution/test_slots.py _seconds_for_twenty_jobs_on_four_slots",
        "execution/test_slots.py _slots_of_one_of_three",
    },
    "the work of a job takes its time, which the context says": {
        "batch_types/careless.py Careless.process",
        "batch_types/slow.py Slow.process",
        "batch_types/steps.py Steps.process",
        "engine/batch_types/chunks.py Chunks.process",
        "engine/batch_types/chunks.py FencedChunks.process",
        "engine/batch_types/chunks.py FencedChunksThread.process",
        "engine/batch_types/dying.py Alone.process",
        "engine/batch_types/dying.py AloneDeaf.process",
        "engine/batch_types/faults.py Large.process",
        "engine/batch_types/gates.py SlowToCleanUp.on_canceled",
        "engine/batch_types/sleeping.py Blocking.process",
        "engine/batch_types/sleeping.py Sleeping.process",
        "engine/batch_types/kit.py _computes_for_ever",
        "execution/functions.py says_where_and_stays",
    },
    "a run in another process waits for a file, which tells nobody that it is there": {
        "engine/batch_types/gates.py Deaf.process",
        "engine/batch_types/gates.py DeafThread.process",
        "engine/batch_types/gates.py Gated._pass",
        "engine/batch_types/gates.py GatedThread.process",
        "engine/batch_types/gates.py GatedWrite.process",
        "engine/batch_types/gates.py Stalled.process",
        "execution/ending.py written",
    },
    "a fault lasts as long as chance has it, in the middle of a load that has a pace": {
        "chaos/faults.py _broker_frozen",
        "chaos/faults.py _broker_killed",
        "chaos/faults.py _broker_out_of_memory",
        "chaos/faults.py _connections_cut",
        "chaos/faults.py _connections_silent",
        "chaos/faults.py _node_cut_off",
        "chaos/faults.py _database_frozen",
        "chaos/faults.py _worker_frozen",
        "chaos/rounds.py _ask",
        "chaos/rounds.py play",
    },
    "a program that the product meets does so: it tries again after a pause": {
        "chaos/fleet.py Fleet._supervise",
        "chaos/rounds.py _publish",
        "events/test_since.py Batchbus.publish",
        "http/test_flood.py test_jobs_that_are_posted_side_by_side_are_published_once_each.slowly",
        "security/full_tilt.py FullTilt._again_and_again",
    },
    "other processes, a broker or a server's own looks change it, and tell nobody: it is asked for again": {
        "benchmarks/handover.py run",
        "benchmarks/handover.py _handed_over",
        "chaos/rounds.py _rest",
        "chaos/watching.py Watch._keep_asking",
        "execution/test_spares.py started",
        "docs/test_examples.py test_completed_jobs_are_written_down_with_nothing_but_amqp_tools",
        "engine/installation.py _poll",
        "engine/test_outages.py failure",
        "events/test_rabbitmq_topology.py _published_until_it_arrives",
        "events/test_rabbitmq.py disconnected",
        "events/test_rabbitmq.py published_to_a_queue",
        "events/test_rabbitmq.py test_a_broker_that_does_not_answer_any_more_is_not_connected",
        "events/test_rabbitmq_topology.py test_a_client_that_declares_nothing_notices_a_broker_that_does_not_answer",
        "events/test_rabbitmq_topology.py test_what_somebody_deletes_from_the_broker_is_declared_anew_with_its_bindings",
        "http/test_metrics.py scraped_until",
        "http/test_parked.py parked",
        "http/test_parked.py "
        "test_a_message_that_fails_again_before_that_it_was_put_back_is_written_stays_parked.publish_and_see_it_fail",
        "http/test_probes.py ready_once",
        "http/test_readers.py _readers",
        "http/test_server_process.py test_what_a_killed_server_had_of_an_upload_is_swept_away",
        "operations/replay/asking.py reaching",
        "rabbitmq_node.py _wait_for_amqp",
        "telemetry/test_background.py test_a_task_that_raises_is_begun_again_and_its_trouble_passes",
    },
    "the time that passes is what is tested": {
        "engine/test_outages.py test_the_database_goes_away_and_comes_back",
        "events/test_log_contract.py test_a_log_that_reaches_back_far_enough_has_no_gap",
        "execution/test_executor.py test_a_strategy_that_awaits_is_not_named.awaits",
        "http/test_connections.py test_bytes_now_and_then_are_too_slow_for_a_body.dribble",
        "http/test_connections.py test_bytes_now_and_then_buy_a_head_no_time.dribble",
        "storage/test_grouped.py "
        "test_a_group_that_is_not_answered_keeps_others_waiting_for_a_second_but_for_those_of_its_jobs.scene",
    },
    "no time at all: one turn of the loop, in which another task begins or could go on": {
        "access/test_quota.py Counted._count",
        "access/test_quota.py test_four_processes_that_count_at_the_same_moment_let_no_more_through_than_their_hundredths.fill",
        "access/test_quota.py test_of_many_that_take_at_the_same_moment_none_is_left_out",
        "engine/test_crashes.py test_a_chunk_that_is_written_when_its_worker_stops_gets_its_checkpoint",
        "events/conftest.py trigger",
        "events/test_consumer_contract.py test_a_closing_consumer_waits_for_its_handlers_and_gives_the_rest_back",
        "events/test_subscriber.py test_no_more_handlers_run_than_are_allowed.count",
        "execution/test_executor.py "
        "test_who_blocks_the_others_is_named_even_after_a_strategy_has_cancelled_all_that_is_on_the_loop.cancels_all",
        "storage/test_grouped.py test_a_write_waits_for_nothing_and_those_that_come_meanwhile_go_together",
        "strategies/test_lookup.py test_queries_are_small_and_few_at_once.Things.to_list",
        "strategies/test_waiting.py test_a_wait_ends_when_its_time_is_over_or_what_it_waits_for_is_done",
        "strategies/test_waiting.py test_an_interruption_ends_all_waits_and_those_that_begin_later",
        "execution/test_slots.py test_whoever_waits_for_a_slot_gets_the_next_and_only_then_is_it_free",
        "http/test_logins.py test_of_many_guesses_at_the_same_moment_no_more_are_checked_than_may_fail.never",
        "http/test_sse.py _followed",
    },
}


def test_every_sleep_has_a_reason_and_a_comment_beside_it() -> None:
    found: set[str] = set()
    silent: list[str] = []
    for path in sorted(_TESTS.rglob("*.py")):
        file = path.relative_to(_TESTS).as_posix()
        if file in _VIRTUAL:
            continue
        lines = path.read_text().splitlines()
        for name, call in _sleeps(ast.parse("\n".join(lines)), ""):
            found.add(f"{file} {name}")
            beside = lines[call.lineno - 2 : call.end_lineno]
            if not any("  # " in line for line in beside):
                silent.append(f"{file}:{call.lineno}")
    known = set[str]().union(*_REASONS.values())
    assert sorted(found - known) == [], "wait for a signal, or say here why that cannot be"
    assert sorted(known - found) == [], "it is not there any more"
    assert silent == [], "say beside it why it is there"


def test_what_passes_on_virtual_time_is_run_there() -> None:
    for file in _VIRTUAL:
        text = (_TESTS / file).read_text()
        assert list(_sleeps(ast.parse(text), "")), f"{file} has no sleep any more"
        assert not Path(file).name.startswith("test_") or "run_virtually(" in text, file


def _sleeps(node: ast.AST, name: str) -> Iterator[tuple[str, ast.Call]]:
    """Calls of `asyncio.sleep`, `time.sleep` and of anything else of that name, with the functions they stand in.

    That of a run is left out: it is what strategies are given, and ends with the run.
    """
    for below in ast.iter_child_nodes(node):
        if isinstance(below, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _sleeps(below, f"{name}.{below.name}".lstrip("."))
            continue
        match below:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="run"), attr="sleep")):
                pass
            case ast.Call(func=ast.Attribute(attr="sleep") | ast.Name(id="sleep")):
                yield name, below
        yield from _sleeps(below, name)
