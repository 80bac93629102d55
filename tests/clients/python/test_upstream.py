"""Upstreams and syncs."""

from mesa_sdk import ConflictError, NotFoundError, ValidationError
from mesa_sdk.types import TokenAuth, UpstreamConfig

from support import MesaCase, unique


class Upstream(MesaCase):
    async def test_upstream(self):
        name = unique("up")
        config = UpstreamConfig(url="https://git.example/a.git", auth=TokenAuth(token="hush"))
        made = await self.mesa.repos.create(name=name, upstream=config)
        self.assertEqual((made.upstream.url, made.upstream.auth_kind), (config.url, "token"))
        self.assertIsNone(made.upstream.latest_sync)
        # Until git transfer exists a sync is refused, never pretended.
        sync = self.mesa.repos.sync_upstream(repo=name, direction="pull", ref_globs={"branches": "main"})
        await self.refused(sync, ValidationError, "NOT_SUPPORTED")
        listed = await self.mesa.repos.list_upstream_syncs(repo=name)
        self.assertEqual((listed.syncs, listed.has_more, listed.next_cursor), ([], False, None))
        missing = self.mesa.repos.get_upstream_sync(repo=name, sync_id="sync_NONE")
        await self.refused(missing, NotFoundError, "SYNC_NOT_FOUND")
        cleared = await self.mesa.repos.update(repo=name, upstream=None)
        self.assertIsNone(cleared.upstream)
        sync = self.mesa.repos.sync_upstream(repo=name, direction="pull")
        await self.refused(sync, ConflictError, "NO_UPSTREAM")
