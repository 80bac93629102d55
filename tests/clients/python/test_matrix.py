"""The refusals that every method can meet, met by every method."""

import os

from mesa_sdk import (
    AuthenticationError,
    AuthorizationError,
    NotFoundError,
    ServerError,
    ValidationError,
)

from support import KEYS, ORG, ROOT, MesaCase, author, merger, methods, open_mesa, unique

NONE = "k" * 32
ARGUMENTS = {
    "bookmark": "none",
    "change_id": NONE,
    "base_change_id": NONE,
    "head_change_id": ROOT,
    "direction": "pull",
    "key_id": "key_none",
    "name": "none",
    "source": "none",
    "sync_id": "sync_none",
    "target": "main",
    "url": "https://hooks.example/",
    "webhook_target_id": "wt_none",
}
#: Signs on this machine.
LOCAL = {"tokens.create"}
#: What a key that only reads may call.
READS = {"org.get", "repos.list", "repos.get", "repos.get_upstream_sync", "repos.list_upstream_syncs", "content.get"}
READS |= {"bookmarks.list", "bookmarks.get", "changes.list", "changes.get", "diffs.get"}


def calls(repo: str):
    """Every method that makes a request, with arguments that are right in form."""
    for name, signature in methods():
        if name in LOCAL:
            continue
        given = {"repo": repo} | ARGUMENTS
        wanted = signature.parameters.values()
        arguments = {p.name: given[p.name] for p in wanted if p.default is p.empty and p.name in given}
        if name == "changes.create":
            arguments |= author()
        if name == "bookmarks.merge":
            arguments |= merger()
        if name == "changes.patch":
            arguments |= {"message": "m", **author()}
        yield name, arguments


class Matrix(MesaCase):
    async def every(self, mesa, repo, error, code, wanted=lambda _name: True):
        seen = 0
        for name, arguments in calls(repo):
            if not wanted(name):
                continue
            resource, method = name.split(".")
            with self.subTest(name):
                await self.refused(getattr(getattr(mesa, resource), method)(**arguments), error, code)
                seen += 1
        return seen

    async def test_500(self):
        key = os.environ["MESA_TEST_FAILING_KEY" if KEYS else "MESA_TEST_FAILING_PRIVATE_KEY"]
        org = {"org": ORG} if KEYS else {}
        async with open_mesa(origin=os.environ["MESA_TEST_FAILING_URL"], key=key, **org) as failing:
            self.assertGreater(await self.every(failing, "any", ServerError, "INTERNAL_ERROR"), 20)
            await self.refused(failing.whoami(), ServerError, "INTERNAL_ERROR")

    async def test_401(self):
        key = "mesa_" + "x" * 44 if KEYS else f"mesa_private_key_{ORG}_MC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH"
        org = {"org": ORG} if KEYS else {}
        async with open_mesa(key=key, **org) as stranger:
            self.assertGreater(await self.every(stranger, "any", AuthenticationError, "CREDENTIAL_UNKNOWN"), 20)

    async def test_403(self):
        repo, _ = await self.repo("forbidden", f="1")
        if KEYS:
            reader = open_mesa(key=(await self.mesa.api_keys.create(scopes=["read"])).key)
        else:
            reader = open_mesa(key=os.environ["MESA_TEST_READ_PRIVATE_KEY"])
        async with reader:
            await reader.content.get(repo=repo)
            writes = await self.every(reader, repo, AuthorizationError, "FORBIDDEN", lambda name: name not in READS)
            self.assertGreater(writes, 10)

    async def test_404(self):
        name = unique("none")
        with_repo = {method for method, signature in methods() if "repo" in signature.parameters}
        self.assertGreater(await self.every(self.mesa, name, NotFoundError, "REPO_NOT_FOUND", with_repo.__contains__), 15)
        repo, _ = await self.repo("here", f="1")
        for method, code in {
            "bookmarks.get": "BOOKMARK_NOT_FOUND",
            "bookmarks.create": "CHANGE_NOT_FOUND",
            "bookmarks.merge": "BOOKMARK_NOT_FOUND",
            "bookmarks.delete": "BOOKMARK_NOT_FOUND",
            "changes.get": "CHANGE_NOT_FOUND",
            "changes.create": "CHANGE_NOT_FOUND",
            "changes.patch": "CHANGE_NOT_FOUND",
            "diffs.get": "CHANGE_NOT_FOUND",
        }.items():
            self.assertEqual(await self.every(self.mesa, repo, NotFoundError, code, method.__eq__), 1, method)

    async def test_406(self):
        large = self.mesa.content.get(repo=os.environ["MESA_TEST_LARGE_REPO"], path="zeros")
        error = await self.refused(large, ValidationError, "NOT_ACCEPTABLE")
        self.assertEqual(error.status_code, 406)
        self.assertIn("application/octet-stream", str(error))
