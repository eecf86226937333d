"""The circuit breaker against a model of what it promises, under any order of events."""

import threading
import time

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from serving.model.breaker import Breaker, State

NEEDED, PAUSE, LONGEST = 3, 2.0, 10.0


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class BreakerMachine(RuleBasedStateMachine):
    """Attempts that overlap, fail, succeed or are never heard of again."""

    def __init__(self):
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker(NEEDED, PAUSE, self.clock, max_pause_seconds=LONGEST)
        self.outcomes = []  # since it last closed
        self.under_way = 0
        self.tries_failed = 0
        self.closed_until = None  # when the next attempt may start; None: closed
        self.trying = False

    def pause(self):
        return min(PAUSE * 2**self.tries_failed, LONGEST)

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, PAUSE, 4.0, LONGEST]))
    def wait(self, seconds):
        self.clock.now += seconds

    @rule()
    def ask(self):
        expected = self.closed_until is None or self.clock.now >= self.closed_until
        assert self.breaker.allow() == expected
        if expected:
            self.under_way += 1
        if expected and self.closed_until is not None:
            self.trying, self.closed_until = True, self.clock.now + self.pause()

    @precondition(lambda self: self.under_way)
    @rule()
    def succeed(self):
        self.under_way -= 1
        self.breaker.succeeded()
        if self.closed_until is None or self.trying:
            self.outcomes, self.tries_failed = [], 0
            self.closed_until, self.trying = None, False

    @precondition(lambda self: self.under_way)
    @rule()
    def fail(self):
        self.under_way -= 1
        self.breaker.failed()
        if self.trying:
            self.tries_failed += 1
        elif self.closed_until is None:
            self.outcomes.append("failed")
            if len(self.outcomes) < NEEDED:
                return
        else:
            return
        self.closed_until, self.trying = self.clock.now + self.pause(), False

    @rule()
    def fail_when_it_may(self):
        if self.closed_until is not None:
            self.clock.now = max(self.clock.now, self.closed_until)
        self.ask()
        self.fail()

    @precondition(lambda self: self.under_way)
    @rule()
    def vanish(self):
        self.under_way -= 1

    @invariant()
    def state_is_known(self):
        expected = State.CLOSED if self.closed_until is None else State.HALF_OPEN if self.trying else State.OPEN
        assert self.breaker.state is expected

    @invariant()
    def it_never_stays_shut_longer_than_the_longest_pause(self):
        assert self.closed_until is None or self.closed_until - self.clock.now <= LONGEST


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_pauses_double_up_to_the_longest_and_start_anew_after_a_success():
    clock = Clock()
    breaker = Breaker(1, PAUSE, clock, max_pause_seconds=LONGEST)
    breaker.failed()
    for expected in (2.0, 4.0, 8.0, 10.0, 10.0):
        clock.now += expected - 0.1
        assert not breaker.allow()
        clock.now += 0.1
        assert breaker.allow()
        breaker.failed()
    clock.now += LONGEST
    assert breaker.allow()
    breaker.succeeded()
    breaker.failed()
    clock.now += PAUSE
    assert breaker.allow()


class Slow(float):
    """A time that takes time to compare: without a lock, others pass meanwhile."""

    def __lt__(self, other):
        result = super().__lt__(other)
        time.sleep(0.005)
        return result


def test_of_many_threads_one_gets_the_attempt():
    clock = Clock()
    breaker = Breaker(1, 1.0, clock)
    breaker.failed()
    clock.now = Slow(clock.now + 5.0)
    allowed, start = [], threading.Barrier(8)

    def ask():
        start.wait()
        allowed.append(breaker.allow())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(allowed) == [False] * 7 + [True]


@pytest.mark.parametrize(("failures", "pause"), [(0, 1.0), (3, 0.0), (3, -1.0), (3, 31.0)])
def test_limits_that_make_no_sense_are_refused(failures, pause):
    with pytest.raises(ValueError, match="must be positive"):
        Breaker(failures, pause)
