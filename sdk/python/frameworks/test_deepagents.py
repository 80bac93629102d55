"""The backend, by its protocol and driven by a real agent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from deepagents import create_deep_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage

from mesa_sdk.fs import AsyncMesaFileSystem
from mesa_sdk.integrations.deepagents import MesaBackend


class ScriptedModel(GenericFakeChatModel):
    """Says what it is told to, whatever tools there are."""

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> Any:
        return self


def model(*calls: tuple[str, dict[str, Any]]) -> ScriptedModel:
    said = [
        AIMessage("", tool_calls=[{"name": name, "args": args, "id": str(number)}])
        for number, (name, args) in enumerate(calls)
    ]
    return ScriptedModel(messages=iter([*said, AIMessage("done")]))


def answers(result: dict[str, Any]) -> list[str]:
    return [str(one.content) for one in result["messages"] if isinstance(one, ToolMessage)]


CALLS = (
    ("write_file", {"file_path": "/src/main.py", "content": "print('one')\n# TODO\n"}),
    ("edit_file", {"file_path": "/src/main.py", "old_string": "one", "new_string": "two"}),
    ("read_file", {"file_path": "/src/main.py"}),
    ("ls", {"path": "/src"}),
    ("glob", {"pattern": "**/*.py"}),
    ("grep", {"pattern": "TODO", "output_mode": "content"}),
)


def test_an_agent_works_in_a_repo(work):
    agent = create_deep_agent(model(*CALLS), backend=MesaBackend(work.fs, work.root))
    said = answers(agent.invoke({"messages": [{"role": "user", "content": "Work"}]}))
    assert len(said) == len(CALLS)
    assert "print('two')" in said[2]
    for number in (3, 4, 5):
        assert "/src/main.py" in said[number], said[number]
    assert "TODO" in said[5]
    assert work.on_server("src/main.py") == b"print('two')\n# TODO\n"


@pytest.mark.anyio
async def test_an_agent_that_awaits(work):
    backend = MesaBackend(AsyncMesaFileSystem(work.fs), work.root)
    agent = create_deep_agent(model(*CALLS), backend=backend)
    said = answers(await agent.ainvoke({"messages": [{"role": "user", "content": "Work"}]}))
    assert "print('two')" in said[2]
    assert work.on_server("src/main.py") == b"print('two')\n# TODO\n"


def test_reading(work):
    backend = MesaBackend(work.fs, work.root)
    work.fs.write(work.at("f"), b"1\n2\n3\n4")
    whole = backend.read("/f")
    assert whole.file_data is not None
    assert (whole.file_data["content"], whole.total_lines, whole.next_offset) == (
        "1\n2\n3\n4",
        4,
        None,
    )
    part = backend.read("/f", offset=1, limit=2)
    assert part.file_data is not None
    assert part.file_data["content"] == "2\n3\n"
    assert (part.start_line, part.end_line, part.next_offset) == (2, 3, 3)
    assert backend.read("/f", limit=0).no_lines_requested
    assert backend.read("/f", offset=9).error
    assert "not found" in (backend.read("/none").error or "")
    work.fs.write(work.at("binary"), b"\xff\0")
    binary = backend.read("/binary").file_data
    assert binary is not None
    assert (binary["content"], binary["encoding"]) == ("/wA=", "base64")
    work.fs.write(work.at("empty"), b"")
    empty = backend.read("/empty")
    assert empty.error is None
    assert empty.file_data is not None
    assert empty.file_data["content"] == ""


def test_writing_and_editing(work):
    backend = MesaBackend(work.fs, work.root)
    assert backend.write("/deep/er/f", "a b a").path == "/deep/er/f"
    assert "2 times" in (backend.edit("/deep/er/f", "a", "c").error or "")
    assert backend.edit("/deep/er/f", "a", "c", replace_all=True).occurrences == 2
    assert backend.edit("/deep/er/f", "zzz", "c").error
    assert backend.edit("/none", "a", "b").error
    assert work.fs.read(work.at("deep/er/f")) == b"c b c"
    assert backend.write("/deep", "x").error
    assert backend.delete("/deep").path == "/deep"
    assert backend.delete("/deep").error
    assert backend.delete("/").error
    up = backend.upload_files([("/u", b"\0"), ("/u/x", b"")])
    assert (up[0].error, bool(up[1].error)) == (None, True)
    down = backend.download_files(["/u", "/none", "/"])
    assert down[0].content == b"\0"
    assert (down[1].error, down[2].error) == ("file_not_found", "is_directory")


def test_it_stays_below_its_root(work):
    work.fs.write(work.at("outside"), b"x")
    work.fs.mkdir(work.at("inside"))
    backend = MesaBackend(work.fs, work.at("inside"))
    for path in ("/../outside", "/a/../../outside", "/../../../outside"):
        assert backend.read(path).error
    backend.write("/../made", "x")
    assert work.fs.readdir(work.at("inside")) == ["made"]


def test_searching(work):
    backend = MesaBackend(work.fs, work.root)
    for path in ("a.py", "src/b.py", "src/deep/c.py", "src/d.txt", ".git/e.py"):
        backend.write(f"/{path}", f"{path}\nneedle [x]\n")
    work.fs.write(work.at("binary"), b"needle\xff")
    work.fs.symlink("nowhere", work.at("broken"))

    def globbed(pattern: str, path: str | None = None) -> list[str]:
        found = backend.glob(pattern, path)
        assert found.matches is not None
        return [info["path"] for info in found.matches]

    assert globbed("*.py") == ["/a.py", "/src/b.py", "/src/deep/c.py"]
    assert globbed("**/*.py") == ["/a.py", "/src/b.py", "/src/deep/c.py"]
    assert globbed("src/*.py") == globbed("/src/*.py") == ["/src/b.py"]
    assert globbed("src/**") == ["/src/b.py", "/src/d.txt", "/src/deep/c.py"]
    assert globbed("**/c.py", "/src") == ["/src/deep/c.py"]
    assert globbed("[ab].py") == ["/a.py", "/src/b.py"]
    found = backend.grep("needle [x]", glob="*.py")
    assert found.matches is not None
    assert [(m["path"], m["line"]) for m in found.matches] == [
        ("/a.py", 2),
        ("/src/b.py", 2),
        ("/src/deep/c.py", 2),
    ]
    some = backend.grep("needle", "/src", max_count=2)
    assert (len(some.matches or []), some.truncated) == (2, True)
    assert not backend.grep("needle", "/src", max_count=3).truncated
    assert backend.grep("x", "/none").error
    assert backend.glob("*", "/none").error
    assert backend.ls("/none").error
    listed = backend.ls("/")
    assert listed.entries is not None
    names = [entry["path"] for entry in listed.entries]
    assert names == ["/.git/", "/a.py", "/binary", "/broken", "/src/"]
