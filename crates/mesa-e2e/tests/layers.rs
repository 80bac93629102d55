//! The crates' arrows point one way (`ARCHITECTURE.md`).

use std::collections::BTreeMap;

use mesa_e2e::sh;
use serde_json::Value;

/// Lower layers first. A crate may use those of lower layers only.
const LAYERS: &[&[&str]] = &[
    &["mesa-types"],
    &[
        "mesa-object",
        "mesa-meta",
        "mesa-proto",
        "mesa-api",
        "mesa-config",
        "mesa-package",
    ],
    &["mesa-store", "mesa-repo", "mesa-client", "mesa-vcs"],
    &["mesa-head", "mesa-vfs"],
    &["mesa-server", "mesa-fuse", "mesa-fs"],
    &["mesa-cli", "mesa-python"],
];

/// The two sides meet only in types, object, proto and api (and in the binary).
const SERVER: &[&str] = &[
    "mesa-meta",
    "mesa-store",
    "mesa-repo",
    "mesa-vcs",
    "mesa-head",
    "mesa-server",
];
const CLIENT: &[&str] = &[
    "mesa-client",
    "mesa-vfs",
    "mesa-fuse",
    "mesa-fs",
    "mesa-python",
    "mesa-config",
];

#[test]
fn crates_depend_downwards_only() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let text = sh(
        root.as_ref(),
        "cargo metadata --no-deps --offline --locked --format-version 1",
    );
    let metadata: Value = serde_json::from_str(&text).expect("JSON");
    let mut layer = BTreeMap::new();
    for (height, names) in LAYERS.iter().enumerate() {
        layer.extend(names.iter().map(|name| (*name, height)));
    }
    let mut seen = 0;
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("a name");
        let Some(height) = layer.get(name) else {
            continue; // test tools
        };
        seen += 1;
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let on = dependency["name"].as_str().expect("a name");
            if dependency["kind"] == "dev" || !on.starts_with("mesa-") {
                continue;
            }
            let below = layer
                .get(on)
                .unwrap_or_else(|| panic!("{name} uses the test tool {on}"));
            assert!(below < height, "{name} uses {on}, which is not below it");
            let crosses = |a: &[&str], b: &[&str]| a.contains(&name) && b.contains(&on);
            assert!(
                !crosses(SERVER, CLIENT) && !crosses(CLIENT, SERVER),
                "{name} uses {on} of the other side"
            );
        }
    }
    assert_eq!(seen, layer.len(), "every crate has its layer");
}
