"""Payloads: they can go to another process, and their size follows from the length that is asked for."""

import pickle

from bench import payloads
from bench.payloads import Hashing, Spinning, sized


def test_payloads_travel_and_ignore_inputs():
    for payload in (Hashing(b"abc"), Spinning(100)):
        assert pickle.loads(pickle.dumps(payload))(1, 2) == payload()
    assert Hashing(b"abc")() == 0xBA  # the first byte of the published digest of "abc"


def test_the_size_is_found_from_the_time_of_a_call(monkeypatch):
    monkeypatch.setattr(payloads, "length", lambda function: 2e-6 + function.turns * 1e-8)
    assert abs(sized(Spinning, 1, 1e-3).turns - 99_800) < 100
