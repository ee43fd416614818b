"""Who hears which news."""

import logging
from uuid import uuid4

import pytest

from expert_booking.bus import Bus
from expert_booking.domain.events import ExpertChanged, FeedConnected, FeedDisconnected


class Ear:
    """Counts what it hears."""

    def __init__(self) -> None:
        self.heard = 0

    def __call__(self) -> None:
        """One piece of news."""
        self.heard += 1


def test_news_of_an_expert_reaches_that_experts_followers_and_nobody_else() -> None:
    bus, jana, omar = Bus(), uuid4(), uuid4()
    first, second, other = Ear(), Ear(), Ear()
    bus.subscribe(jana, first)
    bus.subscribe(jana, second)
    bus.subscribe(omar, other)
    bus.publish(ExpertChanged(jana))
    assert (first.heard, second.heard, other.heard) == (1, 1, 0)


def test_missed_news_reaches_everybody() -> None:
    bus, first, second = Bus(), Ear(), Ear()
    bus.subscribe(uuid4(), first)
    bus.subscribe(uuid4(), second)
    bus.publish(FeedConnected())
    assert (first.heard, second.heard) == (1, 1)


def test_the_bus_knows_whether_news_are_heard_and_knows_it_before_its_followers() -> None:
    bus, seen = Bus(), list[bool]()
    bus.subscribe(uuid4(), lambda: seen.append(bus.connected))
    assert not bus.connected
    bus.publish(FeedConnected())
    assert bus.connected
    bus.publish(FeedDisconnected())
    assert not bus.connected
    assert seen == [True]


def test_a_listener_hears_all_news_there_are() -> None:
    bus, listening = Bus(), Ear()
    bus.listen(listening)
    bus.publish(ExpertChanged(uuid4()))
    bus.publish(FeedConnected())
    assert listening.heard == 2


def test_news_of_an_expert_whom_nobody_follows_is_no_trouble_and_leaves_nothing_behind() -> None:
    bus = Bus()
    bus.publish(ExpertChanged(uuid4()))
    bus.publish(FeedConnected())
    assert bus.subscriber_count() == 0


def test_who_unfollows_hears_no_more_and_may_say_so_twice() -> None:
    bus, jana, leaving, staying = Bus(), uuid4(), Ear(), Ear()
    unsubscribe = bus.subscribe(jana, leaving)
    bus.subscribe(jana, staying)
    unsubscribe()
    unsubscribe()
    bus.publish(ExpertChanged(jana))
    assert (leaving.heard, staying.heard, bus.subscriber_count()) == (0, 1, 1)


def test_the_same_follower_twice_is_two_followers() -> None:
    bus, jana, ear = Bus(), uuid4(), Ear()
    unsubscribe = bus.subscribe(jana, ear)
    bus.subscribe(jana, ear)
    unsubscribe()
    bus.publish(ExpertChanged(jana))
    assert ear.heard == 1


def test_unfollowing_one_of_two_subscriptions_twice_leaves_the_other_alone() -> None:
    bus, jana, ear = Bus(), uuid4(), Ear()
    unsubscribe = bus.subscribe(jana, ear)
    bus.subscribe(jana, ear)
    unsubscribe()
    unsubscribe()
    bus.publish(ExpertChanged(jana))
    assert ear.heard == 1


def test_a_broken_follower_does_not_keep_the_news_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    bus, jana, after = Bus(), uuid4(), Ear()

    def broken() -> None:
        raise RuntimeError("this page is gone")

    bus.subscribe(jana, broken)
    bus.subscribe(jana, after)
    with caplog.at_level(logging.ERROR):
        bus.publish(ExpertChanged(jana))
    assert after.heard == 1
    assert "this page is gone" in caplog.text


def test_a_follower_may_unfollow_while_it_hears_the_news() -> None:
    bus, jana, after = Bus(), uuid4(), Ear()

    def leave() -> None:
        unsubscribe()

    unsubscribe = bus.subscribe(jana, leave)
    bus.subscribe(jana, after)
    bus.publish(ExpertChanged(jana))
    bus.publish(ExpertChanged(jana))
    assert (after.heard, bus.subscriber_count()) == (2, 1)
