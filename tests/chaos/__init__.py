"""Faults on real parts: workers as processes, a real RabbitMQ and the embedded database, broken while jobs run.

`make soak MINUTES=30` breaks them for so long, one fault at a time, and ends with a table.
"""
