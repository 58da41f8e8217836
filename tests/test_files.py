"""Files are written whole or not at all."""

from __future__ import annotations

import os

import pytest

from dagexec.files import written_whole


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("old")

    def write_half():
        with written_whole(path) as file:
            file.write("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_has_the_permissions_of_any_new_file(tmp_path):
    plain, whole = tmp_path / "plain", tmp_path / "whole"
    plain.write_text("")
    with written_whole(whole) as file:
        file.write("new")
    assert whole.read_text() == "new"
    assert whole.stat().st_mode == plain.stat().st_mode


def test_a_missing_folder_or_a_directory_is_named(tmp_path):
    with (
        pytest.raises(OSError, match=r"cannot write .*missing/out"),
        written_whole(tmp_path / "missing" / "out"),
    ):
        pass
    with pytest.raises(IsADirectoryError, match="is a directory"), written_whole(tmp_path):
        pass


def test_a_link_stays_a_link_and_its_target_is_written(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    with written_whole(link) as file:
        file.write("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_device_is_written_to_and_not_replaced():
    with written_whole("/dev/null") as file:
        file.write("gone")
    assert not os.path.isfile("/dev/null")
    with pytest.raises(OSError, match="No space left"), written_whole("/dev/full") as file:
        file.write("no room")
