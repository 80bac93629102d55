"""The scenario through the official Python client: the newest version and the handshake's, over
HTTP and over `mesa mcp`."""

from __future__ import annotations

import json
import os
import pathlib
import re
import unittest
from contextlib import AsyncExitStack

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

ORIGIN = os.environ["MESA_TEST_URL"]
KEYS = {
    "admin": os.environ["MESA_TEST_KEY"],
    "reader": os.environ["MESA_TEST_READER"],
    "restricted": os.environ["MESA_TEST_RESTRICTED"],
}
STEPS = json.loads(pathlib.Path(__file__).with_name("scenario.json").read_text())


def filled(value, kept: dict):
    """The value with `$name` and `${name}` replaced by what was kept."""
    if isinstance(value, list):
        return [filled(item, kept) for item in value]
    if isinstance(value, dict):
        return {key: filled(item, kept) for key, item in value.items()}
    if not isinstance(value, str):
        return value
    if whole := re.fullmatch(r"\$(\w+)", value):
        return kept[whole[1]]
    return re.sub(r"\$\{(\w+)\}", lambda name: kept[name[1]], value)


def at(value, path: str):
    for part in path.split("."):
        if part == "length":
            value = len(value)
        elif isinstance(value, list):
            value = value[int(part)]
        else:
            value = value[part]
    return value


async def over_http(key: str, stack: AsyncExitStack):
    client = httpx2.AsyncClient(headers={"authorization": f"Bearer {key}"}, timeout=60)
    await stack.enter_async_context(client)
    return streamable_http_client(f"{ORIGIN}/mcp", http_client=client)


async def over_stdio(key: str, _stack: AsyncExitStack) -> StdioServerParameters:
    env = {"HOME": os.environ["MESA_TEST_HOME"], "MESA_API_URL": ORIGIN, "MESA_API_KEY": key}
    return StdioServerParameters(command=os.environ["MESA_BIN"], args=["mcp"], env=env)


class Scenario(unittest.IsolatedAsyncioTestCase):
    maxDiff = None

    async def play(self, name: str, mode: str, transport) -> None:
        kept = {"repo": f"python-{os.getpid()}-{name}", "huge": "x" * ((16 << 20) + 1), "long": "x/" * 2100}
        done: set[str] = set()
        failed: set[str] = set()
        async with AsyncExitStack() as stack:
            clients = {}
            for who, key in KEYS.items():
                client = Client(await transport(key, stack), mode=mode)
                clients[who] = await stack.enter_async_context(client)
            self.assertEqual(clients["admin"].protocol_version, "2025-11-25" if mode == "legacy" else "2026-07-28")
            self.assertIn("bookmark", clients["admin"].instructions or "")
            names = [tool.name for tool in (await clients["admin"].list_tools()).tools]
            for step in STEPS:
                client = clients[step.get("as", "admin")]
                result = await client.call_tool(step["tool"], filled(step.get("arguments", {}), kept))
                text = result.content[0].text
                shown = f"{json.dumps(step)[:300]}: {text[:500]}"
                self.assertEqual(bool(result.is_error), "error" in step, shown)
                if "error" in step:
                    self.assertTrue(text.startswith(step["error"] + ": "), shown)
                    failed.add(step["tool"])
                else:
                    done.add(step["tool"])
                    for path, expected in filled(step.get("is", {}), kept).items():
                        self.assertEqual(at(result.structured_content, path), expected, f"{path} in {shown}")
                    for key, path in step.get("keep", {}).items():
                        kept[key] = at(result.structured_content, path)
                if "says" in step:
                    self.assertIn(filled(step["says"], kept), text, shown)
            self.assertEqual(set(names), done & failed)

    async def test_http(self) -> None:
        await self.play("http", "auto", over_http)

    async def test_http_of_the_handshake(self) -> None:
        await self.play("old-http", "legacy", over_http)

    async def test_stdio(self) -> None:
        await self.play("stdio", "auto", over_stdio)

    async def test_stdio_of_the_handshake(self) -> None:
        await self.play("old-stdio", "legacy", over_stdio)


if __name__ == "__main__":
    unittest.main()
