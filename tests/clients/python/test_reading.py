"""Content, bookmarks and changes of a fresh repo."""

from mesa_sdk import NotFoundError

from support import ROOT, MesaCase, unique


class Reading(MesaCase):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.repo = (await self.mesa.repos.create(name=unique("read"))).name

    async def test_content(self):
        root = await self.mesa.content.get(repo=self.repo)
        self.assertEqual((root.child_count, root.entries, root.path), (0, [], ""))
        self.assertTrue(root.is_dir())
        at = await self.mesa.content.get(repo=self.repo, change_id=ROOT, path="", depth=2)
        self.assertEqual(at.to_dict(), root.to_dict())
        missing = self.mesa.content.get(repo=self.repo, path="src/a b.txt")
        await self.refused(missing, NotFoundError, "PATH_NOT_FOUND")

    async def test_bookmarks(self):
        main = await self.mesa.bookmarks.get(repo=self.repo, bookmark="main")
        self.assertEqual((main.name, main.change_id, main.is_default), ("main", ROOT, True))
        listed = await self.mesa.bookmarks.list(repo=self.repo, glob="m*")
        self.assertEqual([b.to_dict() for b in listed.bookmarks], [main.to_dict()])
        missing = self.mesa.bookmarks.get(repo=self.repo, bookmark="feature/x")
        await self.refused(missing, NotFoundError, "BOOKMARK_NOT_FOUND")

    async def test_changes(self):
        root = await self.mesa.changes.get(repo=self.repo, change_id=ROOT)
        self.assertEqual((root.id, root.parents, root.files, root.conflicts), (ROOT, [], [], []))
        listed = await self.mesa.changes.list(repo=self.repo)
        self.assertEqual((listed.changes, listed.has_more), ([], False))
