//! Writing files. Whatever replaces something names the version its caller saw, and is written on
//! the very commit in which that was compared.

use axum::{Json, extract::State};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use mesa_api::{ChangeUpdate, FileOp};
use mesa_object::git::blob_oid;
use mesa_repo::Scope;
use mesa_types::NodeKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    PathArg, RepoArg, Rev,
    edits::{TextEdit, replaced},
    read::kind_name,
    rev,
};
use crate::{
    edge::extract::{FilesBody, UrlPath},
    error::ApiError,
    mcp::{
        call::{About, Answer, Context, Effect, Tool},
        seen::{ATTEMPTS, Node, Opened, busy, text},
    },
    routes::{
        changes::{files::decoded, write},
        content::path::RepoPath,
    },
    snapshot::bytes::whole,
};

/// Largest file that is edited.
const EDITED_BYTES_MAX: u64 = 16 << 20;
/// Most operations of one call.
const OPERATIONS_MAX: usize = 1_000;

pub fn tools() -> Vec<Tool> {
    vec![
        Tool::new(
            About {
                name: "file_write",
                title: "Write a file",
                description: "Writes a whole file, up to 16 MiB, and makes its parent directories. \
                              Without expected_version it must not exist yet; to replace a file \
                              pass the version you read. For small changes use file_edit. The \
                              write is durable when this returns; the answer has the new version.",
                effect: Effect::Replaces,
            },
            write_file,
        ),
        Tool::new(
            About {
                name: "file_edit",
                title: "Edit a file",
                description: "Replaces exact text in a UTF-8 file: each old_text must be there \
                              exactly once, or replace_all is set. Edits are made one after the \
                              other, all or none. Text that is no longer as you saw it is refused; \
                              with expected_version so is any other change of the file.",
                effect: Effect::ReplacesAgain,
            },
            edit_file,
        ),
        Tool::new(
            About {
                name: "file_delete",
                title: "Delete a file or directory",
                description: "Deletes a file or symlink or, with recursive, a directory and all \
                              below it. Pass the version you saw (file_read, path_stat, dir_list). \
                              Directories that are left empty go too. undo brings it back.",
                effect: Effect::Replaces,
            },
            delete,
        ),
        Tool::new(
            About {
                name: "file_move",
                title: "Move a file or directory",
                description: "Moves or renames a file, symlink or directory; parents are made. \
                              Pass the version you saw of it. A file at the new path is replaced \
                              only if you pass its version too, as expected_target_version.",
                effect: Effect::Replaces,
            },
            shift,
        ),
        Tool::new(
            About {
                name: "files_apply",
                title: "Change several files at once",
                description: "Makes up to 1,000 writes, edits, deletes and moves, all or none of \
                              them, as one action that undo takes back as a whole. Each path may \
                              be named once, and versions are those from before the call.",
                effect: Effect::Replaces,
            },
            apply,
        ),
    ]
}

/// One operation on a file.
#[derive(Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
enum Operation {
    /// Writes a whole file.
    Write {
        /// Where.
        path: String,
        /// The whole content.
        content: String,
        /// `utf-8` (when absent) or `base64`.
        encoding: Option<Encoding>,
        /// Whether it is executable; an existing file stays as it is when absent.
        executable: Option<bool>,
        /// The version you saw; absent: it must not exist.
        expected_version: Option<String>,
    },
    /// Replaces exact text.
    Edit {
        /// Where.
        path: String,
        /// The replacements.
        edits: Vec<TextEdit>,
        /// The version you saw.
        expected_version: Option<String>,
    },
    /// Deletes.
    Delete {
        /// Where.
        path: String,
        /// The version you saw.
        expected_version: String,
        /// Also a directory, with everything below it.
        #[serde(default)]
        recursive: bool,
    },
    /// Moves.
    Move {
        /// The present path.
        from: String,
        /// The new path.
        to: String,
        /// The version you saw at the present path.
        expected_version: String,
        /// The version you saw at the new path; absent: nothing is there.
        expected_target_version: Option<String>,
    },
}

/// How content is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
enum Encoding {
    /// As text.
    #[serde(rename = "utf-8")]
    Utf8,
    /// As base64.
    #[serde(rename = "base64")]
    Base64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WriteFile {
    repo: RepoArg,
    rev: Option<Rev>,
    path: PathArg,
    /// The whole content.
    content: String,
    /// How content is given: `utf-8` when absent.
    encoding: Option<Encoding>,
    /// Whether it is executable; an existing file stays as it is when absent.
    executable: Option<bool>,
    /// The version of the file you saw; absent: it must not exist.
    expected_version: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EditFile {
    repo: RepoArg,
    rev: Option<Rev>,
    path: PathArg,
    /// The replacements, made one after the other.
    edits: Vec<TextEdit>,
    /// The version of the file you saw: refuses if anything else in it changed.
    expected_version: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Delete {
    repo: RepoArg,
    rev: Option<Rev>,
    path: PathArg,
    /// The version you saw.
    expected_version: String,
    /// Also a directory, with everything below it.
    #[serde(default)]
    recursive: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Move {
    repo: RepoArg,
    rev: Option<Rev>,
    /// The present path.
    from: String,
    /// The new path.
    to: String,
    /// The version you saw at the present path.
    expected_version: String,
    /// The version of the file you saw at the new path; absent: nothing is there.
    expected_target_version: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Apply {
    repo: RepoArg,
    rev: Option<Rev>,
    /// What to do, 1 to 1,000 operations.
    operations: Vec<Operation>,
    /// A description for the change; the one it has stays when absent.
    message: Option<String>,
}

/// A path that was written.
#[derive(Serialize, JsonSchema)]
struct Written {
    path: String,
    /// `written`, `deleted` or `moved`.
    action: &'static str,
    /// Its version now, for the next call; null if nothing is there any more.
    version: Option<String>,
    /// Replacements made by an edit.
    replacements: Option<u64>,
}

#[derive(Serialize, JsonSchema)]
struct Applied {
    /// The change written to. It is another one than before if that was closed; a bookmark that was
    /// named goes along.
    change_id: String,
    commit_oid: String,
    files: Vec<Written>,
}

async fn write_file(context: Context, wanted: WriteFile) -> Result<Answer<Applied>, ApiError> {
    let operation = Operation::Write {
        path: wanted.path.0,
        content: wanted.content,
        encoding: wanted.encoding,
        executable: wanted.executable,
        expected_version: wanted.expected_version,
    };
    one(&context, &wanted.repo, wanted.rev.as_ref(), operation).await
}

async fn edit_file(context: Context, wanted: EditFile) -> Result<Answer<Applied>, ApiError> {
    let operation = Operation::Edit {
        path: wanted.path.0,
        edits: wanted.edits,
        expected_version: wanted.expected_version,
    };
    one(&context, &wanted.repo, wanted.rev.as_ref(), operation).await
}

async fn delete(context: Context, wanted: Delete) -> Result<Answer<Applied>, ApiError> {
    let operation = Operation::Delete {
        path: wanted.path.0,
        expected_version: wanted.expected_version,
        recursive: wanted.recursive,
    };
    one(&context, &wanted.repo, wanted.rev.as_ref(), operation).await
}

async fn shift(context: Context, wanted: Move) -> Result<Answer<Applied>, ApiError> {
    let operation = Operation::Move {
        from: wanted.from,
        to: wanted.to,
        expected_version: wanted.expected_version,
        expected_target_version: wanted.expected_target_version,
    };
    one(&context, &wanted.repo, wanted.rev.as_ref(), operation).await
}

async fn apply(context: Context, wanted: Apply) -> Result<Answer<Applied>, ApiError> {
    let (rev, message) = (wanted.rev.as_ref(), wanted.message);
    run(&context, &wanted.repo, rev, &wanted.operations, message).await
}

async fn one(
    context: &Context,
    repo: &RepoArg,
    at: Option<&Rev>,
    operation: Operation,
) -> Result<Answer<Applied>, ApiError> {
    run(context, repo, at, &[operation], None).await
}

async fn run(
    context: &Context,
    repo: &RepoArg,
    at: Option<&Rev>,
    operations: &[Operation],
    message: Option<String>,
) -> Result<Answer<Applied>, ApiError> {
    let paths = paths(operations)?;
    for _ in 0..ATTEMPTS {
        let opened = context.open(&repo.0, rev(at), Scope::Write).await?;
        let mut planned = Vec::with_capacity(operations.len());
        for (operation, paths) in operations.iter().zip(&paths) {
            planned.push(plan(context, &opened, operation, paths).await?);
        }
        let (ops, files): (Vec<_>, Vec<_>) = planned.into_iter().unzip();
        let update = ChangeUpdate {
            message: message.clone(),
            files: Some(ops),
            base_commit_oid: Some(opened.commit_oid()),
            ..ChangeUpdate::default()
        };
        let (org, name) = context.place(&repo.0);
        let path = (org.to_owned(), name.to_owned(), opened.named.clone());
        let (app, caller) = (State(context.app.clone()), context.caller.clone());
        let Json(change) = match write::update(app, caller, UrlPath(path), FilesBody(update)).await
        {
            // Somebody wrote between the comparison and the write: compare again.
            Err(error) if error.wire_code() == "STALE_COMMIT" => continue,
            outcome => outcome?,
        };
        return Ok(Applied {
            change_id: change.id,
            commit_oid: change.current_commit_oid,
            files,
        }
        .into());
    }
    Err(busy())
}

/// The paths of operations, the one that is written first. None stands twice: what a version means
/// would depend on the order.
fn paths(operations: &[Operation]) -> Result<Vec<Vec<RepoPath>>, ApiError> {
    if operations.is_empty() || operations.len() > OPERATIONS_MAX {
        return Err(ApiError::bad_request(format!(
            "operations must have 1 to {OPERATIONS_MAX} items"
        )));
    }
    let mut known = std::collections::HashSet::new();
    let mut all = Vec::with_capacity(operations.len());
    for operation in operations {
        let named = match operation {
            Operation::Write { path, .. }
            | Operation::Edit { path, .. }
            | Operation::Delete { path, .. } => vec![path],
            Operation::Move { from, to, .. } => vec![to, from],
        };
        let mut parsed = Vec::with_capacity(named.len());
        for path in named {
            let path = RepoPath::parse(path.as_bytes())?;
            if path.parts().is_empty() {
                let why = "the root itself cannot be written, moved or deleted";
                return Err(ApiError::bad_request(why).narrowed("INVALID_PATH"));
            }
            if !known.insert(path.joined()) {
                return Err(ApiError::bad_request(format!(
                    "'{}' is named twice",
                    text(&path).escape_debug()
                ))
                .narrowed("DUPLICATE_PATH"));
            }
            parsed.push(path);
        }
        all.push(parsed);
    }
    Ok(all)
}

/// What an operation comes to, on what is there now.
async fn plan(
    context: &Context,
    opened: &Opened,
    operation: &Operation,
    paths: &[RepoPath],
) -> Result<(FileOp, Written), ApiError> {
    let path = &paths[0];
    let here = opened.node(path).await?;
    let mut op = FileOp {
        path: text(path),
        action: None,
        content: None,
        encoding: None,
        mode: None,
        from: None,
    };
    let mut written = Written {
        path: op.path.clone(),
        action: "written",
        version: None,
        replacements: None,
    };
    match operation {
        Operation::Write {
            content,
            encoding,
            executable,
            expected_version,
            ..
        } => {
            let seen = expected_version.as_deref();
            opened.check(context, path, here.as_ref(), seen).await?;
            if let Some(node) = here.filter(|node| node.kind == NodeKind::Dir) {
                return Err(not_a_file(path, &node));
            }
            let bytes = match encoding {
                Some(Encoding::Base64) => decoded(content, None)?,
                _ => Bytes::copy_from_slice(content.as_bytes()),
            };
            written.version = Some(version(&bytes)?);
            op.content = Some(STANDARD.encode(bytes));
            op.mode = executable.map(|yes| if yes { "100755" } else { "100644" }.to_owned());
        }
        Operation::Edit {
            edits,
            expected_version,
            ..
        } => {
            let node = opened.existing(path).await?;
            if expected_version.is_some() {
                let seen = expected_version.as_deref();
                opened.check(context, path, Some(&node), seen).await?;
            }
            let (text, count) = replaced(&op.path, text_of(opened, path, &node).await?, edits)?;
            written.version = Some(version(text.as_bytes())?);
            op.content = Some(STANDARD.encode(text));
            written.replacements = Some(count);
        }
        Operation::Delete {
            expected_version,
            recursive,
            ..
        } => {
            let seen = Some(expected_version.as_str());
            opened.check(context, path, here.as_ref(), seen).await?;
            if here.is_some_and(|node| node.kind == NodeKind::Dir) && !recursive {
                return Err(ApiError::bad_request(format!(
                    "'{}' is a directory; pass recursive to delete it with all below it",
                    op.path.escape_debug()
                ))
                .narrowed("PATH_IS_DIRECTORY"));
            }
            op.action = Some("delete".to_owned());
            written.action = "deleted";
        }
        Operation::Move {
            expected_version,
            expected_target_version,
            ..
        } => {
            let from = &paths[1];
            let moved = opened.node(from).await?;
            let seen = Some(expected_version.as_str());
            opened.check(context, from, moved.as_ref(), seen).await?;
            let seen = expected_target_version.as_deref();
            opened.check(context, path, here.as_ref(), seen).await?;
            op.action = Some("move".to_owned());
            op.from = Some(text(from));
            written.version = Some(expected_version.clone());
            written.action = "moved";
        }
    }
    Ok((op, written))
}

/// The version of a content.
fn version(bytes: &[u8]) -> Result<String, ApiError> {
    let oid = blob_oid(bytes).map_err(|_| {
        ApiError::bad_request("the content is an attack on SHA-1").narrowed("NOT_SUPPORTED")
    })?;
    Ok(oid.to_string())
}

fn not_a_file(path: &RepoPath, node: &Node) -> ApiError {
    ApiError::bad_request(format!(
        "'{}' is a {}",
        text(path).escape_debug(),
        kind_name(node.kind)
    ))
    .narrowed("NOT_A_FILE")
}

/// The text of a file to be edited.
async fn text_of(opened: &Opened, path: &RepoPath, node: &Node) -> Result<String, ApiError> {
    let (Some(record), NodeKind::File) = (&node.record, node.kind) else {
        return Err(not_a_file(path, node));
    };
    let refused = |why: &str| {
        let path = text(path);
        ApiError::bad_request(format!("'{}' {why}", path.escape_debug())).narrowed("NOT_TEXT")
    };
    if record.attr.content.size() > EDITED_BYTES_MAX {
        return Err(refused("is larger than 16 MiB: too large to be edited"));
    }
    let bytes = whole(opened.snapshot.packs().clone(), &record.attr.content).await?;
    String::from_utf8(bytes).map_err(|_| refused("is not UTF-8; file_write replaces it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_named_once_and_are_inside() {
        let read = |json: serde_json::Value| {
            paths(&serde_json::from_value::<Vec<Operation>>(json).unwrap())
        };
        use serde_json::json;
        let write = |path: &str| json!({"action": "write", "path": path, "content": ""});
        let shift = |from: &str, to: &str| json!({"action": "move", "from": from, "to": to, "expected_version": ""});
        assert_eq!(
            read(json!([write("a"), shift("b", "c/d")])).unwrap().len(),
            2
        );
        for (bad, code) in [
            (json!([]), "BAD_REQUEST"),
            (json!([write("a"), write("/a")]), "DUPLICATE_PATH"),
            (json!([write("a"), shift("a", "b")]), "DUPLICATE_PATH"),
            (json!([write("../a")]), "INVALID_PATH"),
            (json!([shift("a", "b/..")]), "INVALID_PATH"),
            (json!([write("/")]), "INVALID_PATH"),
        ] {
            assert_eq!(read(bad).unwrap_err().wire_code(), code);
        }
    }
}
