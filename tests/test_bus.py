"""Which subscribers and listeners receive which events."""

import logging
from uuid import uuid4

import pytest

from expert_booking.bus import Bus
from expert_booking.domain.events import ExpertChanged, FeedConnected, FeedDisconnected


class Listener:
    """A listener that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> None:
        """Count one event."""
        self.calls += 1


def test_expert_event_reaches_that_experts_subscribers_only() -> None:
    bus, jana, omar = Bus(), uuid4(), uuid4()
    first, second, other = Listener(), Listener(), Listener()
    bus.subscribe(jana, first)
    bus.subscribe(jana, second)
    bus.subscribe(omar, other)
    bus.publish(ExpertChanged(jana))
    assert (first.calls, second.calls, other.calls) == (1, 1, 0)


def test_reconnect_event_reaches_every_subscriber() -> None:
    bus, first, second = Bus(), Listener(), Listener()
    bus.subscribe(uuid4(), first)
    bus.subscribe(uuid4(), second)
    bus.publish(FeedConnected())
    assert (first.calls, second.calls) == (1, 1)


def test_bus_updates_connected_before_calling_subscribers() -> None:
    bus, seen = Bus(), list[bool]()
    bus.subscribe(uuid4(), lambda: seen.append(bus.connected))
    assert not bus.connected
    bus.publish(FeedConnected())
    assert bus.connected
    bus.publish(FeedDisconnected())
    assert not bus.connected
    assert seen == [True]


def test_listener_receives_every_event() -> None:
    bus, listening = Bus(), Listener()
    bus.listen(listening)
    bus.publish(ExpertChanged(uuid4()))
    bus.publish(FeedConnected())
    assert listening.calls == 2


def test_event_without_subscribers_is_harmless() -> None:
    bus = Bus()
    bus.publish(ExpertChanged(uuid4()))
    bus.publish(FeedConnected())
    assert bus.subscriber_count() == 0


def test_unsubscribing_is_idempotent() -> None:
    bus, jana, leaving, staying = Bus(), uuid4(), Listener(), Listener()
    unsubscribe = bus.subscribe(jana, leaving)
    bus.subscribe(jana, staying)
    unsubscribe()
    unsubscribe()
    bus.publish(ExpertChanged(jana))
    assert (leaving.calls, staying.calls, bus.subscriber_count()) == (0, 1, 1)


def test_same_callback_subscribed_twice_is_called_once_per_subscription() -> None:
    bus, jana, listener = Bus(), uuid4(), Listener()
    unsubscribe = bus.subscribe(jana, listener)
    bus.subscribe(jana, listener)
    unsubscribe()
    bus.publish(ExpertChanged(jana))
    assert listener.calls == 1


def test_unsubscribing_twice_leaves_the_other_subscription_of_the_same_callback() -> None:
    bus, jana, listener = Bus(), uuid4(), Listener()
    unsubscribe = bus.subscribe(jana, listener)
    bus.subscribe(jana, listener)
    unsubscribe()
    unsubscribe()
    bus.publish(ExpertChanged(jana))
    assert listener.calls == 1


def test_failing_subscriber_does_not_block_the_others(caplog: pytest.LogCaptureFixture) -> None:
    bus, jana, after = Bus(), uuid4(), Listener()

    def broken() -> None:
        raise RuntimeError("this page is gone")

    bus.subscribe(jana, broken)
    bus.subscribe(jana, after)
    with caplog.at_level(logging.ERROR):
        bus.publish(ExpertChanged(jana))
    assert after.calls == 1
    assert "this page is gone" in caplog.text


def test_subscriber_may_unsubscribe_while_being_called() -> None:
    bus, jana, after = Bus(), uuid4(), Listener()

    def leave() -> None:
        unsubscribe()

    unsubscribe = bus.subscribe(jana, leave)
    bus.subscribe(jana, after)
    bus.publish(ExpertChanged(jana))
    bus.publish(ExpertChanged(jana))
    assert (after.calls, bus.subscriber_count()) == (2, 1)
