"""Changes, bookmarks, checkpoints and watching, from within a mount."""

import queue
import threading

import pytest

from mesa_sdk import ChangeInfo, CheckpointResult, Mesa, WatchEvent
from mounts import Mounted, again, eventually
from support import Server


def test_checkpoint(work: Mounted):
    fs = work.fs
    fs.write(work.at("f"), b"one")
    done = fs.changes.checkpoint(work.repo, "First")
    assert isinstance(done, CheckpointResult)
    assert done.saved_change_oid != done.active_change_oid
    fs.write(work.at("f"), b"two")
    current = fs.changes.current(work.repo)
    assert current == ChangeInfo(done.active_change_oid, current.commit_oid)
    assert len(current.commit_oid) == 40
    found = fs.changes.list(work.repo)
    assert [one.change_id for one in found[:2]] == [done.active_change_oid, done.saved_change_oid]
    assert len(fs.changes.list(work.repo, limit=1)) == 1
    details = work.mesa.changes.get(repo=work.repo, change_id=done.saved_change_oid)
    assert details.message == "First"
    read = work.mesa.content.read
    assert read(repo=work.repo, path="f", change_id=done.saved_change_oid) == b"one"
    assert read(repo=work.repo, path="f", change_id="main") == b"two"


def test_changes(work: Mounted):
    fs = work.fs
    fs.write(work.at("f"), b"one")
    first = fs.changes.current(work.repo).change_id
    second = fs.changes.new(work.repo, change_id=first, message="Second")
    fs.write(work.at("f"), b"two")
    fs.flush()
    assert fs.changes.current(f"{fs.org}/{work.repo}").change_id == second
    assert fs.changes.edit(work.repo, change_id=second) == second
    assert fs.changes.edit(work.repo, bookmark="main")
    assert fs.read(work.at("f")) == b"one"
    with pytest.raises(FileNotFoundError):
        fs.changes.edit(work.repo, bookmark="none")


def test_no_other_change_while_a_file_is_open(work: Mounted):
    with work.fs.open(work.at("f"), "w") as file:
        file.write("x")
        file.flush()
        with pytest.raises(OSError, match="[Bb]usy|open"):
            work.fs.changes.new(work.repo, bookmark="main")
    assert work.fs.changes.new(work.repo, bookmark="main")


def test_bookmarks(work: Mounted):
    fs = work.fs
    fs.write(work.at("f"), b"x")
    fs.bookmarks.create(work.repo, "mine")
    with pytest.raises(FileExistsError):
        fs.bookmarks.create(work.repo, "mine")
    assert sorted(fs.bookmarks.list(work.repo)) == ["main", "mine"]
    later = fs.changes.checkpoint(work.repo).active_change_oid
    fs.write(work.at("f"), b"y")
    fs.flush()
    fs.bookmarks.move(work.repo, "mine", change_id=later)
    assert work.mesa.bookmarks.get(repo=work.repo, bookmark="mine").change_id == later


def test_a_repo_that_is_not_mounted(work: Mounted):
    with pytest.raises(OSError):
        work.fs.changes.current("none")


def test_two_mounts_see_each_other(server: Server, work: Mounted):
    with again(server, work.repo) as other:
        work.fs.write(work.at("f"), b"from one")
        eventually(lambda: other.fs.exists(other.at("f")))
        eventually(lambda: other.fs.read(other.at("f")) == b"from one")
        other.fs.append(other.at("f"), b" and two")
        eventually(lambda: work.fs.read(work.at("f")) == b"from one and two")


def test_watching(server: Server, work: Mounted):
    work.fs.write(work.at("f"), b"x")
    work.fs.flush()
    events: queue.Queue[WatchEvent] = queue.Queue()
    work.fs.readdir(work.root)
    subscription = work.fs.subscribe(events.put)
    with again(server, work.repo) as other:
        other.fs.write(other.at("made"), b"y")
        other.fs.flush()
        while (event := events.get(timeout=20)).path != work.at("made"):
            assert work.at("made").startswith(event.path)
            if event.recursive:
                break
        # What is told can be read.
        eventually(lambda: work.fs.read(work.at("made")) == b"y")
    subscription.unsubscribe()
    subscription.unsubscribe()


def test_a_watcher_ends_with_the_mount(work: Mounted):
    watcher = work.fs.watch()
    seen: list[list[WatchEvent]] = []
    thread = threading.Thread(target=lambda: seen.append(list(watcher)))
    thread.start()
    work.fs.close()
    thread.join(20)
    assert seen == [[]]


def test_a_closed_watcher(work: Mounted):
    with work.fs.watch() as watcher:
        pass
    assert list(watcher) == []


def test_undo_of_what_a_mount_wrote(work: Mounted, mesa: Mesa):
    work.fs.write(work.at("keep"), b"good\n")
    work.fs.flush()
    change = work.fs.changes.current(work.repo).change_id
    work.fs.write(work.at("keep"), b"oops\n")
    work.fs.flush()
    (action, *_) = mesa.operations.iterate(repo=work.repo, change_id=change)
    assert [path.path for path in action.paths] == ["keep"]
