//! Manifests, and plans over them.

use mesa_object::manifest::{Manifest, RangePlan};
use mesa_types::{ContentRef, ObjectId};

/// What decodes can be planned over: slices in order, inside their chunks.
pub fn check(data: &[u8]) {
    let Ok(manifest) = Manifest::decode(data) else {
        return;
    };
    let id = ObjectId([1; 32]);
    let size = manifest.size();
    let first = u64::from(data[data.len() - 1]) << 16;
    let mut plan = RangePlan::new(&ContentRef::Manifest { id, size }, first..size / 2);
    plan.supply(id, data).expect("the size is its own");
    for missing in plan.missing() {
        let _ = plan.supply(missing, data);
    }
    let mut end = first;
    for slice in plan.into_slices() {
        assert!(slice.offset >= end);
        end = slice.offset + u64::from(slice.within.end - slice.within.start);
        assert!(slice.within.end <= slice.chunk_len);
    }
}
