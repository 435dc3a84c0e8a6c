"""Signals become `Interrupted`, once, and wait where they must."""

from __future__ import annotations

import os
import select
import signal
import threading

import pytest

from pumice.base.signals import Deferred, Interruptible
from pumice.errors import Interrupted


@pytest.mark.adversary(52)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_raised_with_the_exit_code_of_a_shell(number):
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught, Interruptible():
        os.kill(os.getpid(), number)
    assert caught.value.exit_code == 128 + number
    assert signal.getsignal(number) is before


@pytest.mark.adversary(52)
def test_a_deferred_signal_comes_on_leaving():
    reached = []
    with pytest.raises(Interrupted), Interruptible():
        with Deferred():
            with Deferred():
                # To this thread: what is sent to the process may come through another one, any time later.
                signal.raise_signal(signal.SIGTERM)
                reached.append("inner")
            reached.append("outer")
        reached.append("after")
    assert reached == ["inner", "outer"]


@pytest.mark.adversary(52)
def test_a_signal_that_another_thread_gets_waits_too():
    """Its kernel thread takes what this one has masked; Python handles it in this one."""
    reached = []
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    before = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    try:
        with pytest.raises(Interrupted), Interruptible():
            with Deferred():
                signal.pthread_kill(other.ident, signal.SIGTERM)
                # The kernel's handler writes a byte when the other thread has taken the signal.
                assert select.select([told], [], [], 30)[0]
                reached.append("inside")
            reached.append("after")
    finally:
        signal.set_wakeup_fd(before)
        done.set()
        other.join()
        os.close(told)
        os.close(tell)
    assert reached == ["inside"]


def test_a_second_signal_does_not_tear_the_cleaning_up():
    cleaned = []
    with pytest.raises(Interrupted), Interruptible():
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            cleaned.append("all")
    assert cleaned == ["all"]


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruptible():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
