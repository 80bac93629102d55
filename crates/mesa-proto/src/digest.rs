//! The digest of an append: what tells a resent operation from another one with the same number.

use prost::Message;

use crate::v1;

/// BLAKE3 over the encoded operations, each prefixed by its length as u32 little-endian.
pub fn append_digest(ops: &[v1::Op]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let mut encoded = Vec::new();
    for op in ops {
        encoded.clear();
        frame(op, &mut encoded);
        hasher.update(&encoded);
    }
    *hasher.finalize().as_bytes()
}

/// The digest of one operation alone (an [`append_digest`] of one).
pub fn op_digest(op: &v1::Op) -> [u8; 32] {
    append_digest(std::slice::from_ref(op))
}

fn frame(op: &v1::Op, into: &mut Vec<u8>) {
    let length = op.encoded_len() as u32;
    into.extend_from_slice(&length.to_le_bytes());
    into.extend_from_slice(&op.encode_to_vec());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_boundaries_count() {
        let op = |t| v1::Op {
            time_ns: t,
            ..v1::Op::default()
        };
        assert_ne!(
            append_digest(&[op(1), op(2)]),
            append_digest(&[op(2), op(1)])
        );
        assert_ne!(
            append_digest(&[op(1)]),
            append_digest(&[op(1), v1::Op::default()])
        );
        assert_eq!(append_digest(&[]), *blake3::hash(b"").as_bytes());
    }
}
