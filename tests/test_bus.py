"""Who hears which news."""

import logging
from uuid import uuid4

import pytest

from expert_booking.bus import Bus
from expert_booking.domain.events import ExpertChanged, NewsLost, NewsMissed


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
    bus.follow(jana, first)
    bus.follow(jana, second)
    bus.follow(omar, other)
    bus.publish(ExpertChanged(jana))
    assert (first.heard, second.heard, other.heard) == (1, 1, 0)


def test_missed_news_reaches_everybody() -> None:
    bus, first, second = Bus(), Ear(), Ear()
    bus.follow(uuid4(), first)
    bus.follow(uuid4(), second)
    bus.publish(NewsMissed())
    assert (first.heard, second.heard) == (1, 1)


def test_the_bus_knows_whether_news_are_heard_and_knows_it_before_its_followers() -> None:
    bus, seen = Bus(), list[bool]()
    bus.follow(uuid4(), lambda: seen.append(bus.hears))
    assert not bus.hears
    bus.publish(NewsMissed())
    assert bus.hears
    bus.publish(NewsLost())
    assert not bus.hears
    assert seen == [True]


def test_a_listener_hears_all_news_there_are() -> None:
    bus, listening = Bus(), Ear()
    bus.listen(listening)
    bus.publish(ExpertChanged(uuid4()))
    bus.publish(NewsMissed())
    assert listening.heard == 2


def test_news_of_an_expert_whom_nobody_follows_is_no_trouble_and_leaves_nothing_behind() -> None:
    bus = Bus()
    bus.publish(ExpertChanged(uuid4()))
    bus.publish(NewsMissed())
    assert bus.follower_count() == 0


def test_who_unfollows_hears_no_more_and_may_say_so_twice() -> None:
    bus, jana, leaving, staying = Bus(), uuid4(), Ear(), Ear()
    unfollow = bus.follow(jana, leaving)
    bus.follow(jana, staying)
    unfollow()
    unfollow()
    bus.publish(ExpertChanged(jana))
    assert (leaving.heard, staying.heard, bus.follower_count()) == (0, 1, 1)


def test_the_same_follower_twice_is_two_followers() -> None:
    bus, jana, ear = Bus(), uuid4(), Ear()
    unfollow = bus.follow(jana, ear)
    bus.follow(jana, ear)
    unfollow()
    bus.publish(ExpertChanged(jana))
    assert ear.heard == 1


def test_unfollowing_one_of_two_subscriptions_twice_leaves_the_other_alone() -> None:
    bus, jana, ear = Bus(), uuid4(), Ear()
    unfollow = bus.follow(jana, ear)
    bus.follow(jana, ear)
    unfollow()
    unfollow()
    bus.publish(ExpertChanged(jana))
    assert ear.heard == 1


def test_a_broken_follower_does_not_keep_the_news_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    bus, jana, after = Bus(), uuid4(), Ear()

    def broken() -> None:
        raise RuntimeError("this page is gone")

    bus.follow(jana, broken)
    bus.follow(jana, after)
    with caplog.at_level(logging.ERROR):
        bus.publish(ExpertChanged(jana))
    assert after.heard == 1
    assert "this page is gone" in caplog.text


def test_a_follower_may_unfollow_while_it_hears_the_news() -> None:
    bus, jana, after = Bus(), uuid4(), Ear()

    def leave() -> None:
        unfollow()

    unfollow = bus.follow(jana, leave)
    bus.follow(jana, after)
    bus.publish(ExpertChanged(jana))
    bus.publish(ExpertChanged(jana))
    assert (after.heard, bus.follower_count()) == (2, 1)
