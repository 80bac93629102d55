//! Replacing exact text.

use mesa_api::ErrorCode;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::ApiError;

/// Most replacements of one call.
const EDITS_MAX: usize = 1_000;
/// Places shown of a text that is not unique.
const PLACES_MAX: usize = 10;

/// One replacement of exact text.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextEdit {
    /// The text to be replaced, exactly as it is in the file.
    pub old_text: String,
    /// What it becomes.
    pub new_text: String,
    /// Replace it wherever it is; otherwise it must be there exactly once.
    #[serde(default)]
    pub replace_all: bool,
}

/// The text with the replacements made one after the other, and how many were made.
pub fn replaced(
    path: &str,
    mut text: String,
    edits: &[TextEdit],
) -> Result<(String, u64), ApiError> {
    let refused = |code, n: usize, why: String| {
        let which = if edits.len() == 1 {
            String::new()
        } else {
            format!("edit {}: ", n + 1)
        };
        ApiError::new(
            ErrorCode::BadRequest,
            format!("{which}'{}': {why}", path.escape_debug()),
        )
        .narrowed(code)
        .detail("path", path)
    };
    if edits.is_empty() || edits.len() > EDITS_MAX {
        return Err(ApiError::bad_request(format!(
            "edits must have 1 to {EDITS_MAX} items"
        )));
    }
    let mut count = 0;
    for (n, edit) in edits.iter().enumerate() {
        if edit.old_text.is_empty() {
            let why = "old_text is empty; file_write replaces whole files".to_owned();
            return Err(refused("TEXT_NOT_FOUND", n, why));
        }
        if edit.old_text == edit.new_text {
            let why = "old_text and new_text are the same".to_owned();
            return Err(refused("NOTHING_TO_EDIT", n, why));
        }
        let found = text.matches(&edit.old_text).count();
        if found == 0 {
            let why = "old_text is not in the file".to_owned();
            return Err(refused("TEXT_NOT_FOUND", n, why));
        }
        if found > 1 && !edit.replace_all {
            let why = format!("old_text is in the file {found} times");
            let error = refused("TEXT_NOT_UNIQUE", n, why);
            return Err(error.detail("lines", lines_of(&text, &edit.old_text)));
        }
        text = text.replace(&edit.old_text, &edit.new_text);
        count += found as u64;
    }
    Ok((text, count))
}

/// The lines in which a text begins.
fn lines_of(text: &str, wanted: &str) -> Vec<usize> {
    let (mut line, mut at) = (1, 0);
    text.match_indices(wanted)
        .take(PLACES_MAX)
        .map(|(place, _)| {
            line += text[at..place].matches('\n').count();
            at = place;
            line
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(old: &str, new: &str, replace_all: bool) -> TextEdit {
        TextEdit {
            old_text: old.to_owned(),
            new_text: new.to_owned(),
            replace_all,
        }
    }

    #[test]
    fn exact_text_is_replaced() {
        let run = |edits: &[TextEdit]| replaced("p", "a b\na c\n".to_owned(), edits);
        assert_eq!(
            run(&[edit("a b", "x", false)]).unwrap(),
            ("x\na c\n".to_owned(), 1)
        );
        assert_eq!(
            run(&[edit("a ", "", true)]).unwrap(),
            ("b\nc\n".to_owned(), 2)
        );
        let both = [edit("b", "q", false), edit("q\n", "", false)];
        assert_eq!(run(&both).unwrap(), ("a a c\n".to_owned(), 2));
        for (edits, code) in [
            (&[edit("z", "y", false)][..], "TEXT_NOT_FOUND"),
            (&[edit("", "y", true)], "TEXT_NOT_FOUND"),
            (&[edit("a ", "y", false)], "TEXT_NOT_UNIQUE"),
            (&[edit("a", "a", true)], "NOTHING_TO_EDIT"),
            (&[], "BAD_REQUEST"),
        ] {
            assert_eq!(run(edits).unwrap_err().wire_code(), code);
        }
        let twice = run(&[edit("a ", "y", false)]).unwrap_err();
        assert_eq!(twice.details().unwrap()["lines"], serde_json::json!([1, 2]));
    }
}
