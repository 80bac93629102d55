"""What type checkers see: the answers' types, of both clients, through the descriptors.

The checker does the work (`assert_type`); running it shows that the program is one.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from mesa_sdk import AsyncItems, AsyncMesa, Content, Items, Mesa, Page, Repo, ReposPage, Success

if TYPE_CHECKING:
    from typing_extensions import assert_type
else:

    def assert_type(value: object, kind: object) -> object:
        return value


def test_blocking(mesa: Mesa):
    repo = assert_type(mesa.repos.create(), Repo)
    assert_type(mesa.repos.list(), ReposPage)
    assert_type(mesa.repos.iterate(), Items[Repo])
    assert_type(mesa.repos.iterate().pages(), Iterator[Page[Repo]])
    assert_type([one.name for one in mesa.repos.iterate()], list[str])
    content = assert_type(mesa.content.get(repo=repo.name), Content)
    if content.type == "dir":
        assert_type(content.child_count, int)
    elif content.type == "file":
        assert_type(content.data, bytes)
    assert_type(mesa.repos.delete(repo=repo.name), Success)
    with pytest.raises(TypeError):
        mesa.repos.get(name=repo.name)  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError):
        mesa.repos.get(repo.name)  # pyright: ignore[reportCallIssue]


@pytest.mark.anyio
async def test_awaiting(amesa: AsyncMesa):
    async with amesa as mesa:
        repo = assert_type(await mesa.repos.create(), Repo)
        assert_type(mesa.repos.iterate(), AsyncItems[Repo])
        assert_type([one.id async for one in mesa.repos.iterate()], list[str])
        assert_type((await mesa.repos.list()).repos, list[Repo])
        assert_type(await mesa.repos.delete(repo=repo.name), Success)
