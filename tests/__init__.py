"""Everything that is tested, by distribution; and the benchmarks."""
