#!/usr/bin/env python3
"""mkprojects.py npm|cargo DIR: deterministic projects for bench.sh that need no network.

npm: a package.json and lock file with 60 dependencies as local tarballs, 3,000 files in all.
cargo: a workspace of 30 crates without outside dependencies.
"""
import base64
import hashlib
import io
import json
import os
import random
import sys
import tarfile

WORDS = "value index buffer stream token node tree config client server path read write".split()


def put(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as out:
        out.write(text)


def npm(root):
    r = random.Random(7)
    packages, dependencies = {}, {}
    os.makedirs(f"{root}/packages", exist_ok=True)
    for p in range(60):
        name = f"bench-{WORDS[p % len(WORDS)]}-{p}"
        files = {"package.json": json.dumps({"name": name, "version": "1.0.0", "main": "index.js"})}
        for f in range(49):
            folder = ["", "lib/", "lib/util/", "dist/cjs/", "test/"][f % 5]
            size = min(int(r.lognormvariate(7.5, 1.2)), 200_000)
            line = f"exports.{r.choice(WORDS)}{f} = '{r.choice(WORDS)}';\n"
            files[f"{folder}{'index' if f == 0 else r.choice(WORDS)}{f or ''}.js"] = (
                line * (size // len(line) + 1)
            )
        path = f"{root}/packages/{name}.tgz"
        with tarfile.open(path, "w:gz", format=tarfile.USTAR_FORMAT) as archive:
            for file, text in sorted(files.items()):
                info = tarfile.TarInfo(f"package/{file}")
                info.size, info.mode, info.mtime = len(text), 0o644, 1_700_000_000
                archive.addfile(info, io.BytesIO(text.encode()))
        with open(path, "rb") as data:
            digest = base64.b64encode(hashlib.sha512(data.read()).digest()).decode()
        spec = f"file:packages/{name}.tgz"
        dependencies[name] = spec
        packages[f"node_modules/{name}"] = {
            "version": "1.0.0",
            "resolved": spec,
            "integrity": f"sha512-{digest}",
        }
    head = {"name": "bench", "version": "1.0.0"}
    put(f"{root}/package.json", json.dumps({**head, "dependencies": dependencies}, indent=1))
    lock = {
        **head,
        "lockfileVersion": 3,
        "requires": True,
        "packages": {"": {**head, "dependencies": dependencies}, **packages},
    }
    put(f"{root}/package-lock.json", json.dumps(lock, indent=1))


def cargo(root):
    crates = 30
    for c in range(crates):
        uses = [d for d in range(c) if d % 7 == c % 7][-3:]
        deps = "".join(f'c{d} = {{ path = "../c{d}" }}\n' for d in uses)
        put(
            f"{root}/c{c}/Cargo.toml",
            f'[package]\nname = "c{c}"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\n{deps}',
        )
        body = "".join(f"mod m{m};\npub use m{m}::*;\n" for m in range(8))
        body += "".join(f"pub use c{d}::total{d} as total_of_{d};\n" for d in uses)
        sums = " + ".join(f"sum_{c}_{m}(x)" for m in range(8))
        put(
            f"{root}/c{c}/src/lib.rs",
            f"{body}pub fn total{c}(x: u64) -> u64 {{ {sums} }}\n",
        )
        for m in range(8):
            text = "use std::collections::BTreeMap;\n"
            for f in range(4):
                text += (
                    f"#[derive(Debug, Clone, PartialEq, Default)]\npub struct S{m}x{f} "
                    f"{{ a: u64, b: String, c: BTreeMap<u64, String> }}\n"
                    f"impl S{m}x{f} {{ pub fn of(x: u64) -> Self {{ let mut c = BTreeMap::new();"
                    f" for i in 0..x {{ c.insert(i, format!(\"{{i}}-{{x}}\")); }}"
                    f" Self {{ a: x, b: format!(\"{{x:?}}\"), c }} }}"
                    f" pub fn len(&self) -> u64 {{ self.a + self.b.len() as u64"
                    f" + self.c.values().map(|v| v.len() as u64).sum::<u64>() }} }}\n"
                )
            lens = " + ".join(f"S{m}x{f}::of(x).len()" for f in range(4))
            text += f"pub fn sum_{c}_{m}(x: u64) -> u64 {{ {lens} }}\n"
            put(f"{root}/c{c}/src/m{m}.rs", text)
    members = ", ".join(f'"c{c}"' for c in range(crates))
    put(f"{root}/Cargo.toml", f'[workspace]\nresolver = "2"\nmembers = [{members}]\n')


if __name__ == "__main__":
    {"npm": npm, "cargo": cargo}[sys.argv[1]](sys.argv[2])
