"""A file is replaced at once or not at all, whoever else writes it at the same time."""

import os
import stat
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench import files
from bench.errors import StoreError

ROOT = Path(__file__).parent.parent


def test_a_new_file_gets_its_folder_and_the_permissions_of_any_new_file(tmp_path):
    files.write_text(tmp_path / "a" / "b" / "x.txt", "ä\n")
    (tmp_path / "plain").write_text("")
    written = tmp_path / "a" / "b" / "x.txt"
    assert written.read_bytes() == b"\xc3\xa4\n"
    assert stat.S_IMODE(written.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert os.listdir(written.parent) == ["x.txt"]


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")

    def half():
        with files.replaced(path) as new:
            new.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert (path.read_text(), os.listdir(tmp_path)) == ("old", ["x.txt"])


def test_permissions_stay_and_a_link_is_followed(tmp_path):
    path, link = tmp_path / "x.txt", tmp_path / "link"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to(path)
    files.write_text(link, "new")
    assert link.is_symlink()
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o640)


def test_a_name_as_long_as_a_file_system_allows_can_be_written(tmp_path):
    files.write_text(tmp_path / ("x" * 255), "new")
    assert (tmp_path / ("x" * 255)).read_text() == "new"


def test_what_is_no_file_is_written_and_not_replaced():
    files.write_text(Path("/dev/null"), "new")
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("path", ["folder", "file/x.txt"])
def test_what_cannot_be_written_is_an_error_with_the_path_and_the_systems_reason(tmp_path, path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=rf"{path}: cannot be written: (Is a directory|Not a directory|File exists)"):
        files.write_text(tmp_path / path, "new")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_many_writers_and_one_reader_never_meet_in_half_a_file(tmp_path):
    path, texts = tmp_path / "x.txt", [str(number) * 50_000 for number in range(4)]
    files.write_text(path, texts[0])

    def write(text):
        for _ in range(20):
            files.write_text(path, text)

    with ThreadPoolExecutor(4) as pool:
        writing = [pool.submit(write, text) for text in texts]
        while not all(each.done() for each in writing):
            assert path.read_text() in texts
        assert [each.exception() for each in writing] == [None] * 4
    assert os.listdir(tmp_path) == ["x.txt"]


def test_a_writer_killed_before_the_name_changes_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    code = """
        import os, signal, sys
        from pathlib import Path
        from bench import files
        os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        files.write_text(Path(sys.argv[1]), "new")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), path], cwd=ROOT)
    assert done.returncode < 0
    assert path.read_text() == "old"
