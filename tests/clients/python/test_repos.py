"""Repos."""

from mesa_sdk import NotFoundError

from support import KEYS, ORG, ROOT, MesaCase, rest, unique


class Repos(MesaCase):
    async def test_life(self):
        name = unique("py")
        made = await self.mesa.repos.create(name=name, default_bookmark="trunk")
        self.assertEqual((made.org, made.name, made.default_bookmark), (ORG, name, "trunk"))
        self.assertEqual((made.head_change_id, made.upstream), (ROOT, None))
        self.assertEqual((await self.mesa.repos.get(repo=name)).id, made.id)
        renamed = await self.mesa.repos.update(repo=name, name=f"{name}.2")
        self.assertEqual(renamed.id, made.id)
        await self.refused(self.mesa.repos.get(repo=name), NotFoundError, "REPO_NOT_FOUND")
        self.assertTrue((await self.mesa.repos.delete(repo=renamed.name)).success)

    async def test_pages(self):
        for _ in range(3):
            await self.mesa.repos.create()
        page = await self.mesa.repos.list(limit=2)
        self.assertEqual((len(page.repos), page.has_more), (2, True))
        seen = {repo.id for repo in page.repos}
        page = await self.mesa.repos.list(limit=100, cursor=page.next_cursor)
        self.assertTrue(seen.isdisjoint(repo.id for repo in page.repos))

    async def test_labels(self):
        from mesa_rest.api.repo import bulk_update_repo_tags
        from mesa_rest.models import BulkUpdateRepoTagsBody, BulkUpdateRepoTagsBodyAction as Action

        repo = await self.mesa.repos.create(name=unique("py"))
        team = unique("team")
        body = BulkUpdateRepoTagsBody(repo_ids=[repo.id], action=Action.SET, key="team", value=team)
        answer = await bulk_update_repo_tags.asyncio_detailed(ORG, client=rest(), body=body)
        self.assertEqual((answer.status_code, answer.parsed.updated), (200, 1))
        tags = f"team:{team}" if KEYS else {"$or": [{"team": {"$starts_with": team}}, {"$not": {"team": {"$exists": True}}, "x": "y"}]}
        listed = await self.mesa.repos.list(tags=tags)
        self.assertEqual([found.id for found in listed.repos], [repo.id])
