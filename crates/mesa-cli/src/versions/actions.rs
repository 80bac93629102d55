//! The operation log as lines.

use mesa_client::rest::model::{Action, ActionPath};

use super::{
    change::clock,
    paint::{Ink, Style, plain},
    summary::many,
};

/// Paths named in a line.
const PATHS_SHOWN: usize = 4;

/// An action: what did it, when and for whom; then what it did to which paths.
pub fn lines(action: &Action, style: Style) -> Vec<String> {
    let mut words = vec![
        style.paint(&action.id, Ink::Id),
        style.paint(&clock(&action.started_at), Ink::Faint),
        program(action),
    ];
    if let Some(key) = &action.key_id {
        words.push(format!("by {}", plain(key)));
    }
    let place = action.host.as_ref().filter(|host| !host.is_empty());
    let place = place.or(action.address.as_ref().filter(|a| !a.is_empty()));
    if let Some(place) = place {
        words.push(format!("on {}", plain(place)));
    }
    let mut lines = vec![words.join(" "), format!("  {}", what(action))];
    if let Some(by) = &action.undone_by {
        lines.push(style.paint(&format!("  undone by {}", plain(by)), Ink::Faint));
    }
    if action.overwrote > 0 {
        let what = many(action.overwrote as usize, "write");
        let text = format!("  replaced what others wrote meanwhile in {what}");
        lines.push(style.paint(&text, Ink::Conflict));
    }
    lines
}

/// The program's name and process, or what else wrote.
fn program(action: &Action) -> String {
    let origin = match (action.origin.as_str(), &action.undoes) {
        ("undo", Some(undone)) => format!("undo of {}", plain(undone)),
        (origin, _) => plain(origin),
    };
    let Some(program) = &action.program else {
        return origin;
    };
    let name = program.exe.rsplit('/').next().unwrap_or(&program.exe);
    match (name, program.pid) {
        ("", 0) => origin,
        ("", pid) => format!("pid {pid}"),
        (name, 0) => plain(name),
        (name, pid) => format!("{}[{pid}]", plain(name)),
    }
}

/// `delete 3, write 1: a b c and 1 more path`.
fn what(action: &Action) -> String {
    let mut kinds: Vec<(&String, u64)> = action
        .counts
        .iter()
        .filter_map(|(kind, count)| Some((kind, count.as_u64().filter(|n| *n > 0)?)))
        .collect();
    kinds.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let kinds: Vec<String> = kinds
        .iter()
        .map(|(kind, count)| format!("{kind} {count}"))
        .collect();
    let shown = action.paths.iter().take(PATHS_SHOWN);
    let shown: Vec<String> = shown.map(path).collect();
    let rest = (action.path_count as usize).saturating_sub(shown.len());
    let more = match rest {
        0 => String::new(),
        rest => format!(" and {rest} more"),
    };
    format!("{}: {}{more}", kinds.join(", "), shown.join(" "))
}

fn path(path: &ActionPath) -> String {
    match &path.from {
        Some(from) => format!("{} => {}", plain(from), plain(&path.path)),
        None => plain(&path.path),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn action(value: serde_json::Value) -> Action {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn who_what_where() {
        let action = action(json!({
            "id": "1041", "change_id": "k", "first_operation": "1041", "last_operation": "1048",
            "started_at": "2026-02-03T08:05:08.000+00:00", "ended_at": "2026-02-03T08:05:09.000+00:00",
            "origin": "mount", "undoes": null, "undone_by": "1050",
            "session": "s", "key_id": "key_1", "host": "box", "address": "10.0.0.1",
            "program": {"exe": "/usr/bin/rm", "pid": 12, "process_group": 10, "uid": 0},
            "operation_count": 7,
            "counts": {"create": 0, "delete": 5, "rename": 1, "write": 1},
            "paths": [
                {"path": "a", "kinds": ["delete"]},
                {"path": "c", "kinds": ["rename"], "from": "b"},
                {"path": "d", "kinds": ["delete"]}, {"path": "e", "kinds": ["delete"]},
                {"path": "f", "kinds": ["delete"]}
            ],
            "path_count": 7, "overwrote": 1, "later": true
        }));
        assert_eq!(
            lines(&action, Style::default()).join("\n"),
            "1041 2026-02-03 08:05:08 rm[12] by key_1 on box\n  \
             delete 5, rename 1, write 1: a b => c d e and 3 more\n  \
             undone by 1050\n  \
             replaced what others wrote meanwhile in 1 write"
        );
        assert_eq!(action.more["later"], true);
    }

    #[test]
    fn what_is_no_program() {
        let action = action(json!({
            "id": "7", "change_id": "k", "started_at": "t", "ended_at": "t", "origin": "undo",
            "undoes": "3", "undone_by": null, "key_id": null, "host": null, "address": "10.0.0.1",
            "program": null, "operation_count": 1, "counts": {"create": 1},
            "paths": [{"path": "a", "kinds": ["create"]}], "path_count": 1, "overwrote": 0
        }));
        assert_eq!(
            lines(&action, Style::default()).join("\n"),
            "7 t undo of 3 on 10.0.0.1\n  create 1: a"
        );
    }
}
