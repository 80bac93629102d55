"""What runs in a sandbox is the same as in the TypeScript package, whose tests run it in shells."""

import json
from dataclasses import replace
from pathlib import Path

from mesa_sdk.sandbox import _scripts as scripts

PLACE = scripts.Place(server="https://mesa.example.com", org="my-org", repo="work")
DIRECTORY = "/home/it's/mnt/my-org/work"


def test_the_texts_are_those_of_both_packages():
    fuse = replace(PLACE, setup_fuse=True)
    at_draft = replace(PLACE, mount_point="~/m", bookmark="draft", isolate=True)
    read_only = replace(PLACE, mount_point="/m", read_only=True)
    version = {"version": "1.2.3"}
    texts = {
        "install auto": scripts.install(PLACE),
        "install auto, fuse": scripts.install(fuse),
        "install installer 1.2.3, fuse": scripts.install(
            replace(fuse, install="installer", **version)
        ),
        "install package": scripts.install(replace(PLACE, install="package")),
        "install package 1.2.3, fuse": scripts.install(replace(fuse, install="package", **version)),
        "install none": scripts.install(replace(PLACE, install="none")) or "",
        "install none, fuse": scripts.install(replace(fuse, install="none")),
        "mount": scripts.mount(PLACE),
        "mount ~/m at draft, isolated": scripts.mount(at_draft),
        "mount /m, read-only": scripts.mount(read_only),
        "mount read-only again": scripts.mount(replace(PLACE, read_only=True), again=True),
        "ready": scripts.ready(DIRECTORY, PLACE),
        "edit": scripts.edit(DIRECTORY, "draft"),
        "sync": scripts.sync(PLACE),
        "unmount": scripts.unmount(PLACE, force=False),
        "unmount by force": scripts.unmount(replace(PLACE, timeout=10), force=True),
        "inside": scripts.inside(DIRECTORY, "make"),
        "script": scripts.script("true", takes_variables=False),
        "script with variables": scripts.script("true", takes_variables=True),
    }
    golden = Path(__file__).parents[2] / "sandbox-scripts.json"
    assert texts == json.loads(golden.read_text())
