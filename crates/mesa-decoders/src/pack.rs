//! Pack footers and frames.

use mesa_object::{
    OrgKey,
    pack::{PackFooter, decode_frame},
};
use mesa_types::ObjectId;

/// Every place that a footer names can be looked at.
pub fn check(data: &[u8]) {
    let key = OrgKey::new([1; 32]);
    if let Ok(footer) = PackFooter::of_pack(data) {
        for (id, location) in footer.objects {
            let frame = location.frame();
            let frame = &data[frame.start as usize..frame.end as usize];
            let _ = decode_frame(&key, id, frame);
        }
    }
    // The id stands in the frame: taken from there, the fuzzer gets past its comparison.
    let id = data.get(16..48).and_then(ObjectId::from_slice);
    let _ = decode_frame(&key, id.unwrap_or(ObjectId([0; 32])), data);
}
