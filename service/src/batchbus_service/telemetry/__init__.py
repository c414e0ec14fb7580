"""What the process tells of itself: logs, metrics, traces, and the tasks in its background."""
