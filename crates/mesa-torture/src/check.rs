//! Compares the mount with the model, then makes what is found the new certain state.

use std::path::Path;

use crate::model::{FileModel, Model, State, content};

/// Checks every file of the model; returns how many were checked.
pub fn check(repo: &Path, model: &mut Model, client_lost: bool) -> Result<u64, String> {
    let mut checked = 0;
    let names: Vec<String> = model.files.keys().cloned().collect();
    for name in names {
        let Some(file) = model.files.get(&name) else {
            continue;
        };
        let certain = model.certain(file, client_lost);
        let kept = match file.kind.as_str() {
            "log" => check_log(repo, &name, file, certain),
            "dir" => check_dir(repo, &name, file, certain),
            _ => check_file(repo, &name, file, certain),
        };
        let kept = kept.map_err(|what| format!("{name}: {what}; states {:?}", file.states))?;
        if let Some(file) = model.files.get_mut(&name) {
            file.states = kept;
        }
        checked += 1;
    }
    Ok(checked)
}

fn survived(mut state: State) -> State {
    // What a remounted repo shows is on the server.
    state.done = Some(0);
    state.synced = true;
    state
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

fn check_file(
    repo: &Path,
    name: &str,
    file: &FileModel,
    certain: Option<usize>,
) -> Result<Vec<State>, String> {
    let found = read(&repo.join(name))?;
    let possible = &file.states[certain.unwrap_or(0)..];
    let is = |state: &&State| match (&found, state.size) {
        (None, None) => true,
        (Some(bytes), Some(size)) => *bytes == content(name, state.version, size),
        _ => false,
    };
    if let Some(state) = possible.iter().rev().find(is) {
        return Ok(vec![survived(state.clone())]);
    }
    let nothing_certain = certain.is_none();
    let Some(bytes) = found else {
        return if nothing_certain {
            Ok(Vec::new())
        } else {
            Err("is missing".into())
        };
    };
    // A file written in place and not yet closed may hold any mix of the writes since; that is
    // only allowed when such a write was under way.
    let in_place = file.kind == "over" || file.kind == "map";
    let begun = possible
        .iter()
        .any(|s| s.done.is_none() || certain.is_none());
    let begun = begun || possible.len() > 1;
    if in_place && begun {
        let state = State {
            version: 0,
            size: Some(bytes.len() as u64),
            done: None,
            synced: false,
        };
        return Ok(vec![state]);
    }
    let start: String = bytes.iter().take(60).map(|&b| char::from(b)).collect();
    Err(format!(
        "has {} bytes of no known state: {start:?}",
        bytes.len()
    ))
}

fn check_log(
    repo: &Path,
    name: &str,
    file: &FileModel,
    certain: Option<usize>,
) -> Result<Vec<State>, String> {
    let Some(bytes) = read(&repo.join(name))? else {
        return if certain.is_none() {
            Ok(Vec::new())
        } else {
            Err("is missing".into())
        };
    };
    let text = String::from_utf8(bytes).map_err(|e| e.to_string())?;
    let mut lines: Vec<u64> = Vec::new();
    for line in text.split_terminator('\n') {
        let number = line.strip_prefix("line ").and_then(|n| n.parse().ok());
        lines.push(number.ok_or_else(|| format!("has the line {line:?}"))?);
    }
    if !lines.is_sorted_by(|a, b| a < b) {
        return Err("has lines out of order or twice".into());
    }
    let must = certain.map_or(&[][..], |c| &file.states[..=c]);
    if let Some(lost) = must.iter().find(|s| !lines.contains(&s.version)) {
        return Err(format!("lost line {}", lost.version));
    }
    let known = |line: &u64| file.states.iter().any(|s| s.version == *line);
    if let Some(strange) = lines.iter().find(|l| !known(l)) {
        return Err(format!("has the unknown line {strange}"));
    }
    let kept = file.states.iter().filter(|s| lines.contains(&s.version));
    Ok(kept.cloned().map(survived).collect())
}

fn check_dir(
    repo: &Path,
    name: &str,
    file: &FileModel,
    certain: Option<usize>,
) -> Result<Vec<State>, String> {
    let dir = repo.join(name);
    let temporary = repo.join(format!("tmp-{name}"));
    if temporary.exists() {
        // The move never happened; the half-made directory is the workload's own litter.
        if certain.is_some() {
            return Err("is still under its temporary name".into());
        }
        std::fs::remove_dir_all(&temporary).map_err(|e| e.to_string())?;
        return Ok(Vec::new());
    }
    if !dir.exists() {
        return if certain.is_none() {
            Ok(Vec::new())
        } else {
            Err("is missing".into())
        };
    }
    for i in 0..5 {
        let found = read(&dir.join(format!("f{i}")))?;
        if found.as_deref() != Some(&content(name, i, 700)[..]) {
            return Err(format!(
                "f{i} is wrong: {} bytes",
                found.map_or(0, |b| b.len())
            ));
        }
    }
    Ok(file
        .states
        .last()
        .cloned()
        .map(survived)
        .into_iter()
        .collect())
}
