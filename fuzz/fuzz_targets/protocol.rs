//! Messages of the mount protocol from hostile bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mesa_proto::v1;
use prost::Message;

fuzz_target!(|data: &[u8]| {
    let _ = v1::ClientMessage::decode(data);
    let _ = v1::ServerMessage::decode(data);
    let _ = v1::OpenHeadRequest::decode(data);
    let _ = v1::OpenHeadResponse::decode(data);
    let _ = v1::GetNodesRequest::decode(data);
    let _ = v1::NodeBatch::decode(data);
    let _ = v1::UploadRequest::decode(data);
    if let Ok(op) = v1::Op::decode(data) {
        let again = v1::Op::decode(&op.encode_to_vec()[..]).expect("what was encoded decodes");
        assert_eq!(op, again);
    }
});
