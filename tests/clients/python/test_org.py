"""Identity, org, API keys and tokens."""

import unittest

from mesa_sdk import AuthenticationError, AuthorizationError

from support import KEYS, ORG, MesaCase, open_mesa, rest, unique


class Org(MesaCase):
    async def test_whoami_and_org(self):
        me = await self.mesa.whoami()
        self.assertEqual(me.org.slug, ORG)
        self.assertIsInstance(me.key_id, str)
        self.assertEqual(me.scopes, ["read", "write", "admin"] if KEYS else ["admin"])
        org = await self.mesa.org.get()
        self.assertGreaterEqual(org.num_repos, 0)
        self.assertEqual(org.created_at.utcoffset().total_seconds(), 0)


@unittest.skipUnless(KEYS, "generation 0.49 has no API keys in its interface")
class Keys(MesaCase):
    async def test_key_life(self):
        made = await self.mesa.api_keys.create(name=unique("py"), scopes=["read"], expires_in_seconds=600)
        self.assertTrue(made.key.startswith("mesa_"))
        listed = await self.mesa.api_keys.list(limit=100)
        self.assertIn(made.id, [key.id for key in listed.api_keys])
        async with open_mesa(key=made.key) as weak:
            await self.refused(weak.repos.create(name=unique("no")), AuthorizationError, "FORBIDDEN")
        from mesa_rest.api.org import update_api_key
        from mesa_rest.models import UpdateApiKeyBody

        body = UpdateApiKeyBody.from_dict({"tags": {"run": "7"}})
        tags = await update_api_key.asyncio_detailed(ORG, made.id, client=rest(), body=body)
        self.assertEqual((tags.status_code, tags.parsed.tags.to_dict()), (200, {"run": "7"}))
        self.assertTrue((await self.mesa.api_keys.revoke(key_id=made.id)).success)
        async with open_mesa(key=made.key, org=ORG) as gone:
            await self.refused(gone.repos.list(), AuthenticationError, "CREDENTIAL_REVOKED")

    async def test_tokens(self):
        repo = await self.mesa.repos.create(name=unique("token"))
        token = await self.mesa.tokens.create(scopes=["read"], repos=[f"{ORG}/{repo.name}"], ttl_seconds=60)
        async with open_mesa(key=token.token, org=ORG) as limited:
            self.assertEqual([r.id for r in (await limited.repos.list()).repos], [repo.id])
            refused = limited.repos.delete(repo=repo.name)
            await self.refused(refused, AuthorizationError, "FORBIDDEN")
