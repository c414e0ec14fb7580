"""Tests of the engine: lifecycle, store, outbox, intake, workers, the rescuer."""
