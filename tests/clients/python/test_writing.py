"""Changes, bookmarks, merges and differences."""

import re
from enum import Enum

from mesa_sdk import (
    ConflictError,
    FileDelete,
    FileUpsert,
    HunkFix,
    HunkResolution,
    NotFoundError,
    ValidationError,
    WholeFileResolution,
)

from support import KEYS, ROOT, MesaCase, author, encoded, merger, text


def authors(change) -> list[tuple[str, str | None]]:
    """The authors as the generation shows them."""
    if KEYS:
        return [(change.author.name, change.author.email)]
    return [(author.name, author.email) for author in change.authors]


class Mode(str, Enum):
    """What `FileUpsert` takes for a mode; the clients' own lack the last."""

    EXECUTABLE = "100755"
    SYMLINK = "120000"


AUTHORS = [("Ada Lovelace", "ada@example.com")] + ([] if KEYS else [("Agent", None)])


class Writing(MesaCase):
    async def read(self, repo: str, path: str, at: str = "main") -> str:
        return text((await self.mesa.content.get(repo=repo, path=path, change_id=at)).content)

    async def test_changes(self):
        repo, first = await self.repo("written", a="one\n", b="gone\n")
        files = [FileUpsert(path="a", content=encoded("two\n")), FileDelete(path="b")]
        files.append(FileUpsert(path="d/run", content=encoded("#!/bin/sh\n"), mode=Mode.EXECUTABLE))
        create = self.mesa.changes.create(repo=repo, base_change_id=first.id, message="second", files=files, **author())
        made = await create
        self.assertRegex(made.id, re.compile("^[k-z]{32}$"))
        self.assertEqual((made.message, made.parents, made.is_conflicted), ("second", [first.id], False))
        self.assertEqual(authors(made), AUTHORS)
        found = await self.mesa.changes.get(repo=repo, change_id=made.id)
        self.assertEqual((found.files, found.conflicts), (["a", "b", "d/run"], []))
        self.assertEqual(authors(found), AUTHORS)
        again = await self.mesa.changes.patch(
            repo=repo, change_id=made.id, message="said again", base_commit_oid=made.current_commit_oid, **author()
        )
        self.assertEqual((again.id, again.message, authors(again)), (made.id, "said again", AUTHORS))
        self.assertNotEqual(again.current_commit_oid, made.current_commit_oid)
        stale = self.mesa.changes.patch(
            repo=repo, change_id=made.id, message="late", base_commit_oid=made.current_commit_oid, **author()
        )
        await self.refused(stale, ConflictError, "STALE_COMMIT")
        on_main = await self.mesa.changes.list(repo=repo)
        self.assertEqual([change.id for change in on_main.changes], [first.id])
        await self.mesa.bookmarks.create(repo=repo, name="top", change_id=made.id)
        page = await self.mesa.changes.list(repo=repo, bookmark="top", limit=1)
        self.assertEqual(([change.id for change in page.changes], page.has_more), ([made.id], True))
        page = await self.mesa.changes.list(repo=repo, bookmark="top", cursor=page.next_cursor)
        self.assertEqual(([change.id for change in page.changes], page.has_more), ([first.id], False))
        diff = await self.mesa.diffs.get(repo=repo, base_change_id=first.id, head_change_id=made.id)
        seen = [(entry.path, str(entry.status)) for entry in diff.entries]
        self.assertEqual(seen, [("a", "modified"), ("b", "deleted"), ("d/run", "added")])
        self.assertEqual((diff.stats.additions, diff.stats.deletions), (2, 2))
        self.assertEqual([line.text for line in diff.entries[0].hunks[0].lines], ["one", "two"])

    async def test_content(self):
        repo, first = await self.repo("content", a="one\n", **{"d/e/f": "deep\n"})
        link = [FileUpsert(path="link", content=encoded("a"), mode=Mode.SYMLINK)]
        linked = await self.mesa.changes.patch(repo=repo, change_id=first.id, files=link, **author())
        file = await self.mesa.content.get(repo=repo, path="a", change_id=linked.id)
        self.assertTrue(file.is_file())
        self.assertEqual((file.name, file.size, text(file.content)), ("a", 4, "one\n"))
        self.assertTrue((await self.mesa.content.get(repo=repo, path="link", change_id=linked.id)).is_symlink())
        root = await self.mesa.content.get(repo=repo, depth=1)
        self.assertTrue(root.is_dir())
        self.assertEqual([entry.name for entry in root.entries], ["a", "d", "link"])

    async def test_bookmarks(self):
        repo, first = await self.repo("merged", a="one\n")
        bookmarks = self.mesa.bookmarks
        topic = await bookmarks.create(repo=repo, name="feature/x", change_id=first.id)
        self.assertEqual((topic.name, topic.change_id, topic.is_default), ("feature/x", first.id, False))
        again = bookmarks.create(repo=repo, name="feature/x", change_id=first.id)
        await self.refused(again, ConflictError, "BOOKMARK_EXISTS")
        second = await self.change(repo, first.id, "second", b="two\n")
        moved = await bookmarks.move(repo=repo, bookmark="feature/x", change_id=second.id)
        self.assertEqual(moved.change_id, second.id)
        back = bookmarks.move(repo=repo, bookmark="feature/x", change_id=first.id)
        await self.refused(back, ConflictError, "NON_FORWARD_MOVE")
        if not KEYS:
            how = {"repo": repo, "bookmark": "feature/x", "allow_backwards": True}
            self.assertEqual((await bookmarks.move(change_id=first.id, **how)).change_id, first.id)
            await bookmarks.move(change_id=second.id, **how)
        third = await self.change(repo, first.id, "third", c="three\n")
        await bookmarks.move(repo=repo, bookmark="main", change_id=third.id)
        merged = await bookmarks.merge(
            repo=repo, source="feature/x", target="main", message="both", delete_source=True, **merger()
        )
        self.assertEqual((str(merged.merge_type), merged.is_conflicted, merged.source_deleted), ("merge_commit", False, True))
        made = await self.mesa.changes.get(repo=repo, change_id=merged.change_id)
        self.assertEqual((made.message, made.parents), ("both", [third.id, second.id]))
        if not KEYS:
            self.assertEqual(authors(made), AUTHORS)
        await self.refused(bookmarks.get(repo=repo, bookmark="feature/x"), NotFoundError, "BOOKMARK_NOT_FOUND")
        await bookmarks.create(repo=repo, name="old", change_id=first.id)
        nothing = await bookmarks.merge(repo=repo, source="old", target="main", **merger())
        self.assertEqual((str(nothing.merge_type), nothing.commit_oid), ("no_op", merged.commit_oid))
        self.assertTrue((await bookmarks.delete(repo=repo, bookmark="old")).success)

    async def divided(self) -> str:
        """A repo where `main` and `side` changed the same lines."""
        repo, first = await self.repo("divided", f="a\nb\nc\nd\ne\n", g="g\n")
        side = await self.change(repo, first.id, "side", f="a\nbee\nc\ndee\ne\n", g="source\n")
        main = await self.change(repo, first.id, "main", f="a\nB\nc\nD\ne\n", g="target\n")
        await self.mesa.bookmarks.create(repo=repo, name="side", change_id=side.id)
        await self.mesa.bookmarks.move(repo=repo, bookmark="main", change_id=main.id)
        return repo

    async def test_a_conflict_says_where_and_is_resolved(self):
        repo = await self.divided()
        merge = {"repo": repo, "source": "side", "target": "main", **merger()}
        error = await self.refused(self.mesa.bookmarks.merge(**merge), ConflictError, "MERGE_CONFLICT")
        details = error.body.to_dict()["error"]["details"]
        self.assertEqual(details["conflict_paths"], ["f", "g"])
        first, second = (hunk["hunk_id"] for hunk in details["conflicts"][0]["hunks"])
        fixes = [HunkFix(hunk_id=first, take="source"), HunkFix(hunk_id=second, content=encoded("both\n"))]
        part = [HunkResolution(path="f", hunks=fixes)]
        left = self.mesa.bookmarks.merge(resolutions=part, **merge)
        await self.refused(left, ConflictError, "MERGE_CONFLICT")
        unknown = [HunkResolution(path="f", hunks=[HunkFix(hunk_id="none", take="source")])]
        await self.refused(self.mesa.bookmarks.merge(resolutions=unknown, **merge), ValidationError, "UNKNOWN_HUNK")
        whole = WholeFileResolution(path="g", take="target")
        merged = await self.mesa.bookmarks.merge(resolutions=[*part, whole], **merge)
        self.assertFalse(merged.is_conflicted)
        self.assertEqual(await self.read(repo, "f"), "a\nbee\nc\nboth\ne\n")
        self.assertEqual(await self.read(repo, "g"), "target\n")

    async def test_a_conflict_is_kept_and_resolved_in_the_change(self):
        repo = await self.divided()
        merge = {"repo": repo, "source": "side", "target": "main", **merger()}
        merged = await self.mesa.bookmarks.merge(allow_conflicted=True, **merge)
        self.assertTrue(merged.is_conflicted)
        kept = await self.mesa.changes.get(repo=repo, change_id=merged.change_id)
        self.assertEqual((kept.is_conflicted, kept.conflicts), (True, ["f", "g"]))
        self.assertIn("<<<<<<< conflict 1 of 2", await self.read(repo, "f"))
        diff = await self.mesa.diffs.get(
            repo=repo, base_change_id=ROOT, head_change_id=merged.change_id, conflicts="only"
        )
        self.assertEqual([entry.path for entry in diff.conflicted_entries], ["f", "g"])
        whole = [WholeFileResolution(path="g", content=encoded("mine\n"))]
        one = await self.mesa.changes.patch(repo=repo, change_id=merged.change_id, resolutions=whole)
        # The merge is published: what is resolved is a change on top of it.
        self.assertEqual((one.is_conflicted, one.parents), (True, [merged.change_id]))
        patch = {"repo": repo, "change_id": one.id}
        hunks = [HunkFix(hunk_id=hunk.hunk_id, take="source") for hunk in diff.conflicted_entries[0].hunks]
        missing = [HunkResolution(path="f", hunks=hunks[1:])]
        await self.refused(self.mesa.changes.patch(resolutions=missing, **patch), ValidationError, "HUNKS_MISSING")
        done = await self.mesa.changes.patch(resolutions=[HunkResolution(path="f", hunks=hunks)], **patch)
        self.assertFalse(done.is_conflicted)
        self.assertEqual(await self.read(repo, "f", done.id), "a\nbee\nc\ndee\ne\n")
        self.assertEqual(await self.read(repo, "g", done.id), "mine\n")
