//! Filters over labels.
//!
//! Two forms: `env:prod,team:x` (all must hold), or a JSON object in which a member is a label
//! (`"env": "prod"`, `"env": ["prod", "dev"]`, `"env": {"$starts_with": "p"}`) or an operator over
//! filters (`$and`, `$or`: lists; `$not`: one filter). Label operators: `$eq`, `$in`, `$contains`,
//! `$starts_with`, `$ends_with`, `$exists`, `$not`. Keys, operators and values have no case.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::invalid;
use crate::error::Error;

const DEPTH_MAX: usize = 8;
const TEXT_LEN_MAX: usize = 8192;

/// A parsed filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagFilter(Node);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Label(String, Test),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    Contains(String),
    StartsWith(String),
    EndsWith(String),
    Exists(bool),
}

impl TagFilter {
    /// Parses either form.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > TEXT_LEN_MAX {
            return Err(invalid("the tags filter is too long"));
        }
        let text = text.trim();
        if text.starts_with('{') {
            let json = serde_json::from_str(text)
                .map_err(|e| invalid("the tags filter is not valid JSON").with_source(e))?;
            return filter(&json, 0).map(Self);
        }
        let pairs = text.split(',').map(|pair| match pair.split_once(':') {
            Some((key, value)) if !key.trim().is_empty() => Ok(Node::Label(
                key.trim().to_lowercase(),
                Test::In(vec![value.trim().to_lowercase()]),
            )),
            _ => Err(invalid(
                "the tags filter must be key:value,... or a JSON object",
            )),
        });
        pairs
            .collect::<Result<_, _>>()
            .map(|all| Self(Node::All(all)))
    }

    /// Whether these labels pass.
    pub fn matches(&self, tags: &BTreeMap<String, String>) -> bool {
        self.0.matches(tags)
    }
}

impl Node {
    fn matches(&self, tags: &BTreeMap<String, String>) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|n| n.matches(tags)),
            Self::Any(nodes) => nodes.iter().any(|n| n.matches(tags)),
            Self::Not(node) => !node.matches(tags),
            Self::Label(key, test) => {
                let value = tags.get(key).map(|v| v.to_lowercase());
                match (test, value) {
                    (Test::Exists(wanted), value) => value.is_some() == *wanted,
                    (_, None) => false,
                    (Test::In(any), Some(value)) => any.contains(&value),
                    (Test::Contains(part), Some(value)) => value.contains(part),
                    (Test::StartsWith(part), Some(value)) => value.starts_with(part),
                    (Test::EndsWith(part), Some(value)) => value.ends_with(part),
                }
            }
        }
    }
}

fn filter(json: &Value, depth: usize) -> Result<Node, Error> {
    let members = object(json, depth)?;
    let nodes = members.iter().map(|(name, value)| {
        let name = name.to_lowercase();
        match name.as_str() {
            "$and" => filters(value, depth).map(Node::All),
            "$or" => filters(value, depth).map(Node::Any),
            "$not" => filter(value, depth + 1).map(|n| Node::Not(Box::new(n))),
            _ if name.starts_with('$') => Err(unknown(&name)),
            _ => label(&name, value, depth + 1),
        }
    });
    nodes.collect::<Result<_, _>>().map(Node::All)
}

fn filters(json: &Value, depth: usize) -> Result<Vec<Node>, Error> {
    match json {
        Value::Array(items) if !items.is_empty() => {
            items.iter().map(|item| filter(item, depth + 1)).collect()
        }
        _ => Err(invalid("$and and $or take a list of filters")),
    }
}

fn label(key: &str, json: &Value, depth: usize) -> Result<Node, Error> {
    let test = |test| Node::Label(key.to_owned(), test);
    match json {
        Value::String(_) => Ok(test(Test::In(vec![text(json)?]))),
        Value::Array(_) => Ok(test(Test::In(texts(json)?))),
        _ => {
            let operators = object(json, depth)?;
            let nodes = operators.iter().map(|(name, value)| {
                let name = name.to_lowercase();
                Ok(match name.as_str() {
                    "$eq" => test(Test::In(vec![text(value)?])),
                    "$in" => test(Test::In(texts(value)?)),
                    "$contains" => test(Test::Contains(text(value)?)),
                    "$starts_with" => test(Test::StartsWith(text(value)?)),
                    "$ends_with" => test(Test::EndsWith(text(value)?)),
                    "$exists" => test(Test::Exists(
                        value
                            .as_bool()
                            .ok_or_else(|| invalid("$exists takes true or false"))?,
                    )),
                    "$not" => Node::Not(Box::new(label(key, value, depth + 1)?)),
                    _ => return Err(unknown(&name)),
                })
            });
            nodes.collect::<Result<_, _>>().map(Node::All)
        }
    }
}

fn object(json: &Value, depth: usize) -> Result<&Map<String, Value>, Error> {
    if depth > DEPTH_MAX {
        return Err(invalid("the tags filter is nested too deeply"));
    }
    match json {
        Value::Object(members) if !members.is_empty() => Ok(members),
        _ => Err(invalid(
            "a tags filter must be an object with at least one member",
        )),
    }
}

fn text(json: &Value) -> Result<String, Error> {
    json.as_str()
        .map(str::to_lowercase)
        .ok_or_else(|| invalid("a tag's value must be a string"))
}

fn texts(json: &Value) -> Result<Vec<String>, Error> {
    match json {
        Value::Array(items) if !items.is_empty() => items.iter().map(text).collect(),
        _ => Err(invalid("$in takes a list of strings")),
    }
}

fn unknown(name: &str) -> Error {
    invalid(format!(
        "the tags filter has an unknown operator '{}'",
        name.escape_debug()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(filter: &str) -> bool {
        let tags = [("env", "Prod"), ("team", "storage")];
        let tags = tags.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        TagFilter::parse(filter).unwrap().matches(&tags)
    }

    #[test]
    fn both_forms() {
        for yes in [
            "env:prod",
            "ENV:PROD,team:storage",
            r#"{"env":"prod"}"#,
            r#"{"Env":["dev","PROD"]}"#,
            r#"{"env":{"$starts_with":"p","$ends_with":"D"}}"#,
            r#"{"$or":[{"env":"dev"},{"team":{"$contains":"tor"}}]}"#,
            r#"{"$AND":[{"env":"prod"},{"$not":{"team":"x"}}]}"#,
            r#"{"env":{"$not":{"$eq":"dev"}}}"#,
            r#"{"owner":{"$exists":false}}"#,
        ] {
            assert!(passes(yes), "{yes}");
        }
        for no in [
            "env:dev",
            "env:prod,team:x",
            r#"{"env":"prod","team":"x"}"#,
            r#"{"owner":{"$exists":true}}"#,
            r#"{"owner":"me"}"#,
        ] {
            assert!(!passes(no), "{no}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let deep = format!(
            "{}{}{}",
            r#"{"$not":"#.repeat(20),
            r#"{"a":"b"}"#,
            "}".repeat(20)
        );
        for bad in [
            "",
            "env",
            ":x",
            "{}",
            "{",
            r#"{"env":1}"#,
            r#"{"$xor":[]}"#,
            r#"{"$and":{}}"#,
            r#"{"env":{"$like":"x"}}"#,
            r#"{"env":{"$in":[]}}"#,
            &deep,
        ] {
            assert_eq!(
                TagFilter::parse(bad).unwrap_err().code,
                "INVALID_TAGS",
                "{bad}"
            );
        }
    }
}
