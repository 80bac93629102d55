//! Messages of the mount protocol, and operations in them.

use mesa_proto::v1;
use prost::Message;

/// What decodes encodes again to the same message.
pub fn check(data: &[u8]) {
    let _ = v1::ClientMessage::decode(data);
    let _ = v1::ServerMessage::decode(data);
    let _ = v1::OpenHeadRequest::decode(data);
    let _ = v1::OpenHeadResponse::decode(data);
    let _ = v1::GetNodesRequest::decode(data);
    let _ = v1::NodeBatch::decode(data);
    let _ = v1::UploadRequest::decode(data);
    let _ = v1::LogEntry::decode(data);
    let _ = v1::ChunkData::decode(data);
    if let Ok(op) = v1::Op::decode(data) {
        let _ = mesa_head::op::Op::from_wire(&op);
        let again = v1::Op::decode(&op.encode_to_vec()[..]).expect("what was encoded decodes");
        assert_eq!(op, again);
    }
}
