"""What operators do to many jobs at once: replays of past events, and parked messages."""
