"""Every test of the published Python clients, and a look at what was driven."""

import importlib
import pkgutil
import sys
import unittest

import mesa_rest.api

import support

#: Until git transfer exists these are refused, which the tests of upstreams look at.
REFUSED = {"repos.sync_upstream", "repos.get_upstream_sync", "sync_upstream", "get_repo_upstream_sync"}


def operations() -> dict[str, object]:
    """The modules of `mesa_rest`, one for each operation."""
    found = pkgutil.walk_packages(mesa_rest.api.__path__, "mesa_rest.api.")
    modules = (importlib.import_module(module.name) for module in found if not module.ispkg)
    return {module.__name__.rsplit(".", 1)[1]: module for module in modules}


def recorded(name: str, call, driven: set[str]):
    async def asyncio_detailed(*args, **kwargs):
        answer = await call(*args, **kwargs)
        if answer.status_code < 300 and answer.parsed is not None:
            driven.add(name)
        return answer

    return asyncio_detailed


def main() -> int:
    driven: set[str] = set()
    for name, module in operations().items():
        module.asyncio_detailed = recorded(name, module.asyncio_detailed, driven)
    result = unittest.TextTestRunner().run(unittest.defaultTestLoader.discover("."))
    methods = {name for name, _ in support.methods()}
    missing = (methods - support.DRIVEN | operations().keys() - driven) - REFUSED
    if result.wasSuccessful() and missing:
        print(f"no test saw these succeed: {sorted(missing)}", file=sys.stderr)
    return 0 if result.wasSuccessful() and not missing else 1


if __name__ == "__main__":
    sys.exit(main())
