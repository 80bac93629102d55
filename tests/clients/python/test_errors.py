"""Every documented class of refusal, as the published client raises it."""

import base64
import os

from mesa_sdk import (
    ApiError,
    AuthenticationError,
    ConflictError,
    FileUpsert,
    NotFoundError,
    RateLimitError,
    ServerError,
    ValidationError,
)

from support import KEYS, ORG, ROOT, MesaCase, author, open_mesa, unique


class Errors(MesaCase):
    async def test_400(self):
        await self.refused(self.mesa.repos.create(name="a b"), ValidationError, "INVALID_REPO_NAME")
        await self.refused(self.mesa.repos.list(limit=101), ValidationError, "BAD_REQUEST")

    async def test_401(self):
        if KEYS:
            stranger = open_mesa(key="mesa_" + "x" * 44, org=ORG)
        else:
            # A key that nobody registered.
            stranger = open_mesa(key=f"mesa_private_key_{ORG}_MC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH")
        async with stranger:
            await self.refused(stranger.repos.list(), AuthenticationError, "CREDENTIAL_UNKNOWN")

    async def test_404(self):
        await self.refused(self.mesa.repos.get(repo=unique("none")), NotFoundError, "REPO_NOT_FOUND")

    async def test_409(self):
        name = (await self.mesa.repos.create(name=unique("py"))).name
        await self.refused(self.mesa.repos.create(name=name), ConflictError, "REPO_EXISTS")

    async def test_413(self):
        with self.assertRaises(ApiError) as caught:
            await self.mesa.repos.create(name="x" * (2 << 20))
        self.assertEqual(caught.exception.status_code, 413)

    async def test_429(self):
        origin = os.environ["MESA_TEST_LIMITED_URL"]
        key = os.environ["MESA_TEST_LIMITED_KEY" if KEYS else "MESA_TEST_LIMITED_PRIVATE_KEY"]
        async with open_mesa(origin=origin, key=key) as busy:
            with self.assertRaises(RateLimitError) as caught:
                for _ in range(50):
                    await busy.org.get()
            self.assertEqual(caught.exception.status_code, 429)

    async def test_500(self):
        origin = os.environ["MESA_TEST_DAMAGED_URL"]
        key = os.environ["MESA_TEST_DAMAGED_KEY" if KEYS else "MESA_TEST_DAMAGED_PRIVATE_KEY"]
        async with open_mesa(origin=origin, key=key) as mesa:
            failing = mesa.repos.get(repo=os.environ["MESA_TEST_DAMAGED_REPO"])
            error = await self.refused(failing, ServerError, "STORED_DATA_DAMAGED")
            self.assertTrue(error.body.error.trace_id)

    async def test_413_of_a_file(self):
        name = (await self.mesa.repos.create(name=unique("large"))).name
        content = base64.b64encode(bytes((16 << 20) + 1)).decode()
        with self.assertRaises(ApiError) as caught:
            await self.mesa.changes.create(
                repo=name, base_change_id=ROOT, message="m", files=[FileUpsert(path="f", content=content)], **author()
            )
        self.assertEqual(caught.exception.status_code, 413)
