"""Data: batches of arrays, and what is said of files that are not what they should be."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagexec.data import Batches, digits, read_csv, read_idx, read_text, write_idx

DIGITS = Path(__file__).parent.parent / "graphs" / "data" / "digits"


# --- batches --------------------------------------------------------------------------------------------
@given(rows=st.integers(1, 30), size=st.integers(1, 30), seed=st.integers(0, 5), epoch=st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_an_epoch_has_each_row_at_most_once_in_batches_of_one_size(rows, size, seed, epoch):
    if size > rows:
        return
    batches = Batches((np.arange(rows), -np.arange(rows)), size, seed)
    found = list(batches.epoch(epoch))
    assert len(found) == len(batches)
    assert all(len(first) == size for first, _ in found)
    assert all(np.array_equal(first, -second) for first, second in found)
    seen = [row for first, _ in found for row in first.tolist()]
    assert len(set(seen)) == len(seen) == rows - batches.left_out
    again = [row for first, _ in Batches((np.arange(rows),) * 2, size, seed).epoch(epoch) for row in first]
    assert seen == again


def test_each_epoch_and_each_seed_has_an_order_of_its_own():
    orders = [
        tuple(np.concatenate([rows for (rows,) in Batches((np.arange(20),), 4, seed).epoch(epoch)]))
        for seed in range(3)
        for epoch in range(3)
    ]
    assert len(set(orders)) == 9


def test_what_is_left_out_differs_from_epoch_to_epoch():
    batches = Batches((np.arange(10),), 4)
    seen = {row for epoch in range(9) for (rows,) in batches.epoch(epoch) for row in rows.tolist()}
    assert seen == set(range(10))
    assert repr(batches) == "<Batches: 10 rows, 2 batches of 4, 2 left out>"


@pytest.mark.parametrize(
    ("arrays", "size", "said"),
    [
        ((np.ones(3), np.ones(4)), 2, r"equal lengths, not \[3, 4\]"),
        ((np.ones(3),), 4, "batches of 4 rows cannot be made of 3"),
        ((np.ones(3),), 0, "batches of 0 rows"),
        ((np.ones(()),), 1, "cannot be made of 0"),
        ((), 1, "equal lengths"),
    ],
)
def test_what_cannot_be_batched_says_so(arrays, size, said):
    with pytest.raises(ValueError, match=said):
        Batches(arrays, size)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"arrays": np.ones((3, 2))}, TypeError, "must be a tuple of arrays, as .x, y., not ndarray"),
        ({"size": 2.0}, TypeError, "integer"),
        ({"seed": 1.5}, TypeError, "integer"),
        ({"seed": -1}, ValueError, "a seed must not be negative, as -1 is"),
    ],
)
def test_what_makes_no_batches_is_refused_at_once(options, error, said):
    with pytest.raises(error, match=said):
        Batches(**({"arrays": (np.ones(3),), "size": 2} | options))


# --- IDX ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 1, 3)])
@pytest.mark.parametrize("name", ["x", "x.gz"])
def test_an_idx_file_gives_back_what_was_written(dtype, shape, name, tmp_path):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    write_idx(tmp_path / name, array)
    found = read_idx(tmp_path / name)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)
    assert (tmp_path / name).read_bytes().startswith(b"\x1f\x8b") == (name == "x.gz")


def test_the_format_is_that_of_the_definition(tmp_path):
    (tmp_path / "x").write_bytes(bytes([0, 0, 0x0B, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 0, 255, 254]))
    np.testing.assert_array_equal(read_idx(tmp_path / "x"), [[256, -2]])


DAMAGE = {
    "nothing": (b"", "is no IDX file: it starts with nothing"),
    "text": (b"label,pixel\n", "is no IDX file: it starts with 6c 61 62 65"),
    "an unknown dtype": (bytes([0, 0, 7, 1, 0, 0, 0, 1, 1]), "is no IDX file"),
    "no lengths": (bytes([0, 0, 8, 3, 0, 0]), "is damaged: it ends before the lengths of its 3 axes"),
    "too short": (
        bytes([0, 0, 8, 1, 0, 0, 0, 3, 1]),
        r"is damaged: shape \(3,\) takes 3 bytes, but it holds 1",
    ),
    "too long": (
        bytes([0, 0, 8, 1, 0, 0, 0, 1, 1, 1]),
        r"is damaged: shape \(1,\) takes 1 bytes, but it holds 2",
    ),
    "half a gz": (gzip.compress(bytes(1000))[:15], "is damaged: it cannot be unpacked"),
    "a broken gz": (b"\x1f\x8b" + bytes(30), "is damaged: it cannot be unpacked"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_or_foreign_idx_file_is_refused_by_name(name, tmp_path):
    content, said = DAMAGE[name]
    (tmp_path / "images").write_bytes(content)
    with pytest.raises(ValueError, match=f"images {said}"):
        read_idx(tmp_path / "images")


def test_a_dtype_that_idx_does_not_have_is_refused(tmp_path):
    with pytest.raises(TypeError, match="not complex128"):
        write_idx(tmp_path / "x", np.ones(2, complex))
    assert not list(tmp_path.iterdir())


def test_the_shipped_digits_are_images_of_all_ten_from_0_to_1():
    found = digits(DIGITS)
    assert (found.images.shape, found.test_images.shape) == ((1437, 8, 8), (360, 8, 8))
    assert (found.images.dtype, found.labels.dtype) == (np.float32, np.int64)
    assert (found.images.min(), found.images.max()) == (0, 1)
    assert min(np.bincount(found.labels, minlength=10)) > 130
    assert min(np.bincount(found.test_labels, minlength=10)) >= 35


def test_the_shipped_digits_are_those_of_scikit_learn():
    pytest.importorskip("sklearn")
    from sklearn.datasets import load_digits

    wanted, found = load_digits(), digits(DIGITS)
    images = np.concatenate([found.images, found.test_images]) * 16
    labels = np.concatenate([found.labels, found.test_labels])
    rows = sorted([(*image.ravel().tolist(), label) for image, label in zip(images, labels)])
    assert rows == sorted([(*image.tolist(), label) for image, label in zip(wanted.data, wanted.target)])


def test_mnist_files_are_read_as_they_are_and_what_is_missing_is_named(tmp_path):
    images, labels = np.full((2, 28, 28), 255, np.uint8), np.array([3, 4], np.uint8)
    write_idx(tmp_path / "train-images-idx3-ubyte", images)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", labels)
    with pytest.raises(FileNotFoundError, match=r"there is no t10k-images-idx3-ubyte and no .*gz in"):
        digits(tmp_path)
    write_idx(tmp_path / "t10k-images-idx3-ubyte", images[:1])
    write_idx(tmp_path / "t10k-labels-idx1-ubyte", labels)
    with pytest.raises(ValueError, match=r"t10k has images \(1, 28, 28\), but labels \(2,\)"):
        digits(tmp_path)
    write_idx(tmp_path / "t10k-labels-idx1-ubyte", labels[:1])
    found = digits(tmp_path)
    assert (found.images.max(), found.labels.tolist(), len(found.test_images)) == (1, [3, 4], 1)


# --- tables and text ------------------------------------------------------------------------------------
def test_csv_columns_are_numbers_or_text(tmp_path):
    (tmp_path / "x.csv").write_text('\ufeffname;height;"no; year"\r\nAda;1.5;1815\r\n\r\nMax;2;nan\r\n')
    found = read_csv(tmp_path / "x.csv", separator=";")
    assert list(found) == ["name", "height", "no; year"]
    assert found["name"].tolist() == ["Ada", "Max"]
    assert found["height"].tolist() == [1.5, 2]
    np.testing.assert_array_equal(found["no; year"], [1815, np.nan])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a,b\n1,2\n3\n", r"x.csv, line 3: 1 cells, but 2 columns"),
        (b"a,a\n1,2\n", "x.csv names a column twice: a, a"),
        (b"", "x.csv is empty"),
        (b" \n", "x.csv is empty"),
        (b"\xff\xfe", "x.csv is no text in UTF-8: .* at byte 0"),
        (b"a\0b", "x.csv is no text: it holds null bytes"),
    ],
)
def test_what_is_no_table_is_refused_by_name(content, said, tmp_path):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(ValueError, match=said):
        read_csv(tmp_path / "x.csv")


def test_text_is_read_packed_or_not(tmp_path):
    (tmp_path / "a.txt").write_text("Größe\n", encoding="utf-8")
    (tmp_path / "b.txt").write_bytes(gzip.compress("Größe\n".encode()))
    assert read_text(tmp_path / "a.txt") == read_text(tmp_path / "b.txt") == "Größe\n"
    with pytest.raises(FileNotFoundError, match=r"c\.txt"):
        read_text(tmp_path / "c.txt")
