"""The bus on RabbitMQ. What others import is `RabbitBus`."""

from batchbus_events.rabbitmq.bus import RabbitBus

__all__ = ["RabbitBus"]
