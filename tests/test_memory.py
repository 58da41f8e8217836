"""Where blocks lie: never two at one place at one time, and on little more than is needed at once."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagexec import memory
from dagexec.memory import ALIGNMENT, Piece, laid_out, lodged, most_at_once

WAYS = [laid_out, memory._by_size, memory._by_time]


@st.composite
def blocks(draw, most_pieces=4):
    """Blocks of pieces side by side, each with a lifetime of its own."""
    found = []
    for _ in range(draw(st.integers(0, 15))):
        cuts = sorted(draw(st.sets(st.integers(0, 400), max_size=most_pieces + 1)))
        pieces = []
        for start, stop in pairwise(cuts):
            first = draw(st.integers(0, 20))
            pieces.append(Piece(start, stop, first, first + draw(st.integers(0, 8))))
        found.append(pieces)
    return found


@pytest.mark.parametrize("way", WAYS)
@given(blocks())
def test_pieces_that_live_at_the_same_time_do_not_overlap(way, drawn):
    offsets, total = way(drawn)
    assert all(offset >= 0 and offset % ALIGNMENT == 0 for offset in offsets)
    placed = [(number, offset, p) for number, offset in enumerate(offsets) for p in drawn[number]]
    for number, offset, piece in placed:
        assert offset + piece.stop <= total
        for other, there, one in placed[: placed.index((number, offset, piece))]:
            if other != number and one.first <= piece.last and piece.first <= one.last:
                assert offset + piece.stop <= there + one.start or there + one.stop <= offset + piece.start


@given(blocks())
def test_what_is_taken_is_at_least_what_lives_at_once_and_at_most_all_side_by_side(drawn):
    _, total = laid_out(drawn)
    sizes = [max([piece.stop for piece in block], default=0) for block in drawn]
    assert most_at_once(drawn) <= total <= sum(max(1, -(-size // ALIGNMENT)) * ALIGNMENT for size in sizes)
    assert most_at_once(drawn) == max(
        sum(p.stop - p.start for block in drawn for p in block if p.first <= time <= p.last)
        for time in range(30)
    )


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 8)), min_size=1, max_size=15))
def test_blocks_of_one_size_take_no_more_than_lives_at_once(lifetimes):
    drawn = [[Piece(0, ALIGNMENT, first, first + more)] for first, more in lifetimes]
    assert laid_out(drawn)[1] == most_at_once(drawn)


def test_what_is_read_piece_by_piece_makes_room_for_what_is_written_so():
    steps = range(10)
    read = [Piece(100 * ALIGNMENT * t, 100 * ALIGNMENT * (t + 1), 0, 2 * t) for t in steps]
    written = [piece._replace(first=2 * t + 1, last=50) for t, piece in zip(steps, read)]
    assert laid_out([read, written])[1] == most_at_once([read, written])


def test_very_many_pieces_are_laid_out_in_the_order_of_time(monkeypatch):
    drawn = [[Piece(0, 64, 0, 1)], [Piece(0, 64, 0, 9)], [Piece(0, 128, 2, 3)]]
    assert laid_out(drawn)[1] == 192
    monkeypatch.setattr(memory, "MOST_BY_SIZE", 2)
    assert laid_out(drawn)[1] == 256


def test_gaps_side_by_side_become_one():
    drawn = [[Piece(0, 64, 0, 1)], [Piece(0, 64, 0, 1)], [Piece(0, 64, 0, 9)], [Piece(0, 128, 2, 3)]]
    assert memory._by_time(drawn) == ([0, 64, 128, 0], 192)


@given(blocks(), blocks())
def test_what_lodges_in_rooms_meets_neither_them_nor_other_guests(drawn, rooms):
    places = lodged(drawn, rooms)
    placed = [(room, 0, piece) for room, block in enumerate(rooms) for piece in block]
    for block, place in zip(drawn, places, strict=True):
        if place is None:
            continue
        room, offset = place
        assert offset % ALIGNMENT == 0
        for piece in block:
            assert 0 <= offset + piece.start <= offset + piece.stop <= max(one.stop for one in rooms[room])
            for house, there, one in placed:
                if house == room and one.first <= piece.last and piece.first <= one.last:
                    assert (
                        offset + piece.stop <= there + one.start or there + one.stop <= offset + piece.start
                    )
        placed += [(room, offset, piece) for piece in block]


def test_a_block_lodges_where_it_fits_until_the_room_is_needed():
    room = [Piece(0, 128, 4, 9)]
    assert lodged([[Piece(0, 128, 0, 3)]], [room]) == [(0, 0)]
    assert lodged([[Piece(0, 128, 0, 4)]], [room]) == [None]
    assert lodged([[Piece(0, 129, 0, 3)]], [room]) == [None]
    assert lodged([[Piece(0, 64, 0, 3)]] * 3, [room]) == [(0, 0), (0, 64), None]
    assert lodged([[Piece(0, 128, 0, 1)], [Piece(0, 128, 2, 3)]], [room]) == [(0, 0), (0, 0)]
