"""Where blocks lie: never two at one place at one time."""

from hypothesis import given
from hypothesis import strategies as st

from dagexec.memory import ALIGNMENT, Block, laid_out


@st.composite
def lifetimes(draw):
    """Blocks in the order of their first use, some of which may follow one of the same size at its place."""
    firsts = sorted(draw(st.lists(st.integers(0, 20), max_size=20)))
    blocks = []
    for first in firsts:
        last = first + draw(st.integers(0, 8))
        donors = [number for number, block in enumerate(blocks) if block.first < first == block.last]
        donor = draw(st.sampled_from([None, *donors]))
        nbytes = draw(st.integers(0, 300)) if donor is None else blocks[donor].nbytes
        blocks.append(Block(first, last, nbytes, donor))
    return blocks


@given(lifetimes())
def test_blocks_that_live_at_the_same_time_do_not_overlap(blocks):
    offsets, total = laid_out(blocks)
    for one, (block, low) in enumerate(zip(blocks, offsets)):
        assert low % ALIGNMENT == 0
        assert 0 <= low <= low + block.nbytes <= total
        for other, high in zip(blocks[:one], offsets):
            apart = low + max(block.nbytes, 1) <= high or high + max(other.nbytes, 1) <= low
            handed_over = other.last == block.first and low == high and other.nbytes == block.nbytes
            assert apart or other.last < block.first or handed_over


@given(lifetimes())
def test_no_more_is_taken_than_all_of_them_side_by_side(blocks):
    _, total = laid_out(blocks)
    assert total <= sum(max(1, -(-block.nbytes // ALIGNMENT)) * ALIGNMENT for block in blocks)


def test_a_dead_blocks_place_is_taken_again():
    chain = [Block(time, time + 1, 1000) for time in range(100)]
    assert laid_out(chain)[1] == 2 * 1024


def test_gaps_side_by_side_become_one():
    offsets, total = laid_out([Block(0, 1, 64), Block(0, 1, 64), Block(0, 9, 64), Block(2, 3, 128)])
    assert (offsets, total) == ([0, 64, 128, 0], 192)
