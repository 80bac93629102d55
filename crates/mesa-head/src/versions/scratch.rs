//! Trees made beside any head: stored, but nothing names them, or with a commit for the caller to
//! store.

use std::{collections::HashMap, sync::Arc};

use mesa_proto::v1;
use mesa_types::{ContentRef, FileId, Nanos, ObjectId};

use super::table::Table;
use crate::{
    content::Unsealed,
    edit::{Prepared, plan::Plan},
    error::{HeadError, Result},
    head::{load::Parts, seal::snapshot},
    load,
    op::{Op, OpKind},
    oplog::state::settle,
    rows::IdSpan,
    seal::{self, Built, Lineage, SealInput},
    tree::Tree,
};

/// File ids of nodes in these trees: no session is given them.
const IDS: IdSpan = IdSpan {
    first: 1 << 61,
    count: 1 << 32,
};

/// The tree `root` with file operations made to it.
pub(crate) async fn applied(
    parts: &Parts,
    root_id: FileId,
    now: Nanos,
    root: Option<ObjectId>,
    files: &[Prepared],
) -> Result<Option<ObjectId>> {
    let (tree, seq) = tree_with(parts, root_id, now, root, (files, IDS)).await?;
    let built = snapshot(parts, &tree, &Unsealed::default(), None, seq).await?;
    let built = built.ok_or_else(|| HeadError::corrupt("a tree without a root"))?;
    settle(parts, built).await.map(Some)
}

/// The same as a commit. Its rows are the caller's to store.
pub(crate) async fn committed(
    parts: &Parts,
    root_id: FileId,
    root: Option<ObjectId>,
    (files, ids): (&[Prepared], IdSpan),
    conflicts: Option<Table>,
    lineage: Lineage,
) -> Result<Built> {
    let (tree, seq) = tree_with(parts, root_id, lineage.now, root, (files, ids)).await?;
    let plan = tree.seal_plan(seq);
    let input = SealInput {
        plan: plan.ok_or_else(|| HeadError::corrupt("a tree without a root"))?,
        unsealed: HashMap::new(),
        lineage: Some(lineage),
        pointer_bytes: parts.config.pointer_bytes,
        conflicts: conflicts.map(Arc::new),
        root: root_id,
    };
    seal::build(&parts.packs, &parts.catalog, input).await
}

/// A tree with file operations made to it, and how many there were.
async fn tree_with(
    parts: &Parts,
    root_id: FileId,
    now: Nanos,
    root: Option<ObjectId>,
    (files, ids): (&[Prepared], IdSpan),
) -> Result<(Tree, u64)> {
    let packs = &parts.packs;
    let mut tree = load::tree(packs, root, root_id, now).await?;
    let plan = Plan::new(packs, &mut tree, now, ids);
    let wire: Vec<v1::Op> = plan.run(files).await?;
    let mut seq = 0;
    for op in &wire {
        let op = Op::from_wire(op)?;
        while let Some(need) = tree.needs(&op) {
            load::satisfy(packs, &mut tree, need).await?;
        }
        let content = match &op.kind {
            OpKind::Create(create) if !create.target.is_empty() => ContentRef::Chunk {
                id: packs.key().chunk_id(&create.target),
                size: create.target.len() as u64,
            },
            _ => op
                .content()
                .map_or(ContentRef::Empty, |(content, _)| content),
        };
        seq += 1;
        tree.apply(&op, content, seq).map_err(|refusal| {
            HeadError::corrupt(format!("an operation does not fit a past state: {refusal}"))
        })?;
    }
    Ok((tree, seq))
}
