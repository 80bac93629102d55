//! Listings, link tables, roots and conflicts.

use mesa_object::{
    OrgKey,
    tree::{Conflicts, DirLoader, DirLookup, EntryTarget, LinkLoader, Root, build_links, seal_dir},
};
use mesa_types::{EntryName, ObjectId};

/// Whatever decodes encodes to the same bytes, as long as it is a single leaf.
pub fn check(data: &[u8]) {
    let key = OrgKey::new([1; 32]);
    let id = ObjectId([2; 32]);

    let mut loader = DirLoader::new(id);
    if loader.supply(id, data).is_ok()
        && loader.missing().is_empty()
        && let Ok((entries, _)) = loader.finish()
    {
        let linked = entries
            .iter()
            .any(|entry| matches!(entry.target, EntryTarget::Link { .. }));
        if !linked && data[1] == 0 && data.len() < 1 << 20 {
            let sealed = seal_dir(&key, &entries, |_| None).expect("decoded entries encode");
            assert_eq!(sealed.objects[0].bytes, data);
        }
    }
    let mut loader = LinkLoader::new(id);
    if loader.supply(id, data).is_ok()
        && loader.missing().is_empty()
        && let Ok((records, _)) = loader.finish()
    {
        let _ = build_links(&key, &records);
    }
    if let Ok(name) = EntryName::new(&data[..data.len().min(20)]) {
        let (mut lookup, _) = DirLookup::new(id, name);
        let _ = lookup.supply(data);
    }
    if let Ok(root) = Root::decode(data) {
        let object = root.encode(&key).expect("a decoded root encodes");
        assert_eq!(object.bytes, data);
        let _ = root.snapshot_header(&key);
    }
    if let Ok(conflicts) = Conflicts::decode(data) {
        let object = conflicts.encode(&key).expect("decoded conflicts encode");
        assert_eq!(object.bytes, data);
    }
}
