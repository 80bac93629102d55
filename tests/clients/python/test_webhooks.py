"""Webhook targets, and deliveries as the published verifier takes them."""

import http.server
import json
import queue
import threading

from mesa_rest.api.webhook_target import get_webhook_target
from mesa_sdk import MesaWebhookVerificationError, NotFoundError, ValidationError

from support import ORG, MesaCase, author, merger, open_mesa, rest, unique

#: Every event that this server tells of.
EVENTS = ["repo.created", "repo.updated", "repo.deleted", "change.created", "change.evolved"]
EVENTS += ["bookmark.created", "bookmark.moved", "bookmark.merged", "bookmark.deleted"]


class Receiver(http.server.ThreadingHTTPServer):
    """A target on this machine that keeps what it gets."""

    def __init__(self) -> None:
        self.deliveries: queue.Queue = queue.Queue()
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.deliveries.put((body, dict(self.headers)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_args) -> None:
        pass


class Webhooks(MesaCase):
    async def asyncSetUp(self) -> None:
        await super().asyncSetUp()
        self.receiver = Receiver()

    async def asyncTearDown(self) -> None:
        self.receiver.shutdown()
        self.receiver.server_close()
        await super().asyncTearDown()

    async def test_targets(self):
        targets = self.mesa.webhook_targets
        made = await targets.create(url=self.receiver.url, name="n", events=["push", "repo.created"])
        self.assertTrue(made.secret.startswith("whsec_"))
        listed = await targets.list(limit=100)
        self.assertIn(made.id, [target.id for target in listed.webhook_targets])
        repo = await self.mesa.repos.create(name=unique("hooked"))
        changed = await targets.update(webhook_target_id=made.id, name="m", repo_ids=[repo.id])
        self.assertEqual((changed.name, changed.repo_ids), ("m", [repo.id]))
        cleared = await targets.clear_repo_filter(webhook_target_id=made.id)
        self.assertIsNone(cleared.repo_ids)
        one = await get_webhook_target.asyncio_detailed(ORG, made.id, client=rest())
        self.assertEqual((one.status_code, one.parsed.name), (200, "m"))
        self.assertTrue((await targets.delete(webhook_target_id=made.id)).success)
        gone = targets.update(webhook_target_id=made.id, name="x")
        await self.refused(gone, NotFoundError, "WEBHOOK_TARGET_NOT_FOUND")
        wrong = targets.create(url="ftp://hooks.example/", events=["push"])
        await self.refused(wrong, ValidationError, "INVALID_WEBHOOK_URL")

    async def happen(self) -> str:
        """Does, in a new repo, something of everything that is told; answers its id."""
        name, first = await self.repo("told", f="1")
        repo_id = (await self.mesa.repos.update(repo=name, name=f"{name}.2")).id
        name = f"{name}.2"
        await self.mesa.changes.patch(repo=name, change_id=first.id, message="again", **author())
        second = await self.change(name, first.id, "second", g="2")
        await self.mesa.bookmarks.create(repo=name, name="side", change_id=first.id)
        await self.mesa.bookmarks.move(repo=name, bookmark="side", change_id=second.id)
        third = await self.change(name, first.id, "third", h="3")
        await self.mesa.bookmarks.move(repo=name, bookmark="main", change_id=third.id)
        await self.mesa.bookmarks.merge(repo=name, target="main", source="side", **merger())
        await self.mesa.bookmarks.delete(repo=name, bookmark="side")
        await self.mesa.repos.delete(repo=name)
        return repo_id

    async def test_deliveries_of_every_event_verify_and_altered_ones_do_not(self):
        made = await self.mesa.webhook_targets.create(url=self.receiver.url, events=EVENTS)
        repo_id = await self.happen()
        seen = []
        async with open_mesa(webhook_secret=made.secret) as mesa:
            mesa.webhooks.on(EVENTS, lambda event: seen.append(event["type"]))
            while seen[-1:] != ["repo.deleted"]:
                body, headers = self.receiver.deliveries.get(timeout=30)
                if json.loads(body)["repository"]["id"] == repo_id:
                    await mesa.webhooks.receive(body, headers)
            self.assertEqual(set(seen), set(EVENTS))
            for altered in [body + b" ", body.replace(b"repo.deleted", b"repo.created")]:
                with self.assertRaises(MesaWebhookVerificationError):
                    await mesa.webhooks.receive(altered, headers)
            signature = headers["x-mesa-signature"]
            other = signature[:-1] + ("1" if signature.endswith("0") else "0")
            for wrong in [signature.replace("t=", "t=9"), signature[:-1], other, ""]:
                with self.assertRaises(MesaWebhookVerificationError):
                    await mesa.webhooks.receive(body, {**headers, "x-mesa-signature": wrong})
        async with open_mesa(webhook_secret="whsec_other") as stranger:
            with self.assertRaises(MesaWebhookVerificationError):
                await stranger.webhooks.receive(body, headers)
        self.assertEqual(json.loads(body)["organization"]["slug"], ORG)
        await self.mesa.webhook_targets.delete(webhook_target_id=made.id)
