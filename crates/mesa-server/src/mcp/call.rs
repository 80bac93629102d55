//! Tools: how they are described, called and answered.

use std::fmt::Write as _;

use base64::{Engine, engine::general_purpose::STANDARD};
use futures::{FutureExt, future::BoxFuture};
use mesa_repo::{Principal, Scope};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::{
    message::{Failure, INVALID_PARAMS},
    schema,
    tools::TOOLS,
};
use crate::{
    edge::Caller,
    error::{ApiError, status_of},
    state::App,
};

/// Most bytes of a refusal's details that an agent is shown.
const DETAILS_BYTES_MAX: usize = 20_000;

/// What a call works with.
#[derive(Clone)]
pub struct Context {
    pub app: App,
    pub caller: Caller,
}

/// What a tool does to what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Reads,
    /// It only adds.
    Adds,
    /// It takes away or replaces, fenced by what the caller saw: a repeat is refused.
    Replaces,
    /// The same, but a repeat may do it once more.
    ReplacesAgain,
}

/// Names and texts of a tool.
pub struct About {
    pub name: &'static str,
    pub title: &'static str,
    pub description: &'static str,
    pub effect: Effect,
}

type Run = dyn Fn(Context, Value) -> BoxFuture<'static, Result<Output, ApiError>> + Send + Sync;

pub struct Tool {
    about: About,
    input: Value,
    output: Value,
    run: Box<Run>,
    /// Not for credentials that are restricted to some repos.
    whole_org: bool,
}

/// What a tool found or did.
pub struct Answer<O> {
    value: O,
    /// What agents read, where the value as JSON is not the best text.
    text: Option<String>,
}

impl<O> Answer<O> {
    pub fn with_text(value: O, text: String) -> Self {
        Self {
            value,
            text: Some(text),
        }
    }
}

impl<O> From<O> for Answer<O> {
    fn from(value: O) -> Self {
        Self { value, text: None }
    }
}

struct Output {
    structured: Value,
    text: Option<String>,
}

impl Tool {
    pub fn new<I, O, F>(about: About, run: fn(Context, I) -> F) -> Self
    where
        I: DeserializeOwned + JsonSchema + 'static,
        O: Serialize + JsonSchema + 'static,
        F: Future<Output = Result<Answer<O>, ApiError>> + Send + 'static,
    {
        Self {
            about,
            input: schema::read::<I>(),
            output: schema::written::<O>(),
            run: Box::new(move |context, arguments| {
                let input = serde_json::from_value::<I>(arguments);
                let running = input.map(|input| run(context, input));
                async move {
                    let running = running.map_err(|e| {
                        ApiError::bad_request(format!("the arguments are wrong: {e}"))
                            .narrowed("INVALID_ARGUMENTS")
                    })?;
                    let answer = running.await?;
                    let structured = serde_json::to_value(answer.value);
                    Ok(Output {
                        structured: structured.map_err(ApiError::internal)?,
                        text: answer.text,
                    })
                }
                .boxed()
            }),
            whole_org: false,
        }
    }

    pub fn for_the_whole_org(mut self) -> Self {
        self.whole_org = true;
        self
    }

    /// Whether a caller may use it anywhere. What is not listed is refused by what it calls.
    fn is_for(&self, caller: &Principal) -> bool {
        let held = self.about.effect == Effect::Reads || caller.scopes.allow(Scope::Write);
        held && !(self.whole_org && caller.repos.is_some())
    }

    fn described(&self) -> Value {
        let effect = self.about.effect;
        let replaces = matches!(effect, Effect::Replaces | Effect::ReplacesAgain);
        json!({
            "name": self.about.name,
            "title": self.about.title,
            "description": self.about.description,
            "inputSchema": self.input,
            "outputSchema": self.output,
            "annotations": {
                "title": self.about.title,
                "readOnlyHint": effect == Effect::Reads,
                "destructiveHint": replaces,
                "idempotentHint": matches!(effect, Effect::Reads | Effect::Replaces),
                "openWorldHint": false,
            },
        })
    }
}

/// The tools a caller can use, always in the same order.
pub fn listed(caller: &Principal) -> Vec<Value> {
    let tools = TOOLS.iter().filter(|tool| tool.is_for(caller));
    tools.map(Tool::described).collect()
}

/// `tools/call`.
pub async fn tool(context: &Context, mut params: Map<String, Value>) -> Result<Value, Failure> {
    let Some(Value::String(name)) = params.remove("name") else {
        return Err(Failure::new(INVALID_PARAMS, "params.name must be a string"));
    };
    let Some(tool) = TOOLS.iter().find(|tool| tool.about.name == name) else {
        let why = format!("Unknown tool: {}", name.escape_debug());
        return Err(Failure::new(INVALID_PARAMS, why));
    };
    let arguments = match params.remove("arguments") {
        None | Some(Value::Null) => json!({}),
        Some(arguments @ Value::Object(_)) => arguments,
        Some(_) => {
            let why = "params.arguments must be an object";
            return Err(Failure::new(INVALID_PARAMS, why));
        }
    };
    tracing::debug!(tool = tool.about.name, "called");
    let outcome = (tool.run)(context.clone(), arguments).await;
    Ok(match outcome {
        Ok(output) => {
            let text = output.text.unwrap_or_else(|| output.structured.to_string());
            json!({
                "content": [{"type": "text", "text": text}],
                "structuredContent": output.structured,
                "isError": false,
            })
        }
        Err(error) => refused(&error, &context.caller.actor.request),
    })
}

/// A refusal that the agent can act on: its code, what is the matter, what to do.
fn refused(error: &ApiError, trace: &str) -> Value {
    let code = error.wire_code();
    let mut text = format!("{code}: {}", error.message());
    if status_of(error.code()).is_server_error() {
        error.log();
        let _ = write!(text, " (trace id {trace})");
    }
    if let Some(hint) = hint(code) {
        let _ = write!(text, "\nWhat to do: {hint}");
    }
    let mut meta = json!({"code": code, "message": error.message(), "trace_id": trace});
    if let Some(details) = error.details() {
        let mut details = Value::Object(details.clone());
        if let Some(conflicts) = details.get_mut("conflicts") {
            readable(conflicts);
        }
        let mut shown = details.to_string();
        if shown.len() > DETAILS_BYTES_MAX {
            shown.truncate(shown.floor_char_boundary(DETAILS_BYTES_MAX));
            shown.push_str("... (cut)");
        } else {
            meta["details"] = details;
        }
        let _ = write!(text, "\nDetails: {shown}");
    }
    json!({
        "content": [{"type": "text", "text": text}],
        "isError": true,
        "_meta": {"mesa/error": meta},
    })
}

/// The sides of conflicts as text, where they are.
fn readable(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(content)) = map.get_mut("content") {
                let bytes = STANDARD.decode(&*content).unwrap_or_default();
                if let Ok(text) = String::from_utf8(bytes) {
                    *content = text;
                }
            }
            map.values_mut().for_each(readable);
        }
        Value::Array(items) => items.iter_mut().for_each(readable),
        _ => {}
    }
}

fn hint(code: &str) -> Option<&'static str> {
    Some(match code {
        "STALE_VERSION" => {
            "somebody changed it after you looked. Read it again, decide whether your call still \
             makes sense, and repeat it with the new version."
        }
        "VERSION_REQUIRED" => {
            "read it first (file_read, path_stat or dir_list) and pass its `version` as \
             expected_version."
        }
        "STALE_COMMIT" => {
            "the change was written to after you looked. Look at it again (bookmark_get, \
             change_get, diff) and repeat with its present commit_oid."
        }
        "STALE_BOOKMARK" => {
            "the bookmark was moved after you looked. Read it again with bookmark_get and repeat \
             with its present change_id."
        }
        "STALE_MESSAGE" => {
            "somebody described the change after you looked. Read it with change_get and pass its \
             present message as expected_message."
        }
        "LOCK_CONFLICT" => "others write to the same change all the time. Try again.",
        "MERGE_CONFLICT" => {
            "decide what each path is to be and pass `resolutions`, or allow_conflicted to keep \
             conflict markers."
        }
        "TEXT_NOT_FOUND" => {
            "old_text must be in the file exactly, blanks and line ends included. Read the file \
             again and copy the text from it."
        }
        "TEXT_NOT_UNIQUE" => "put more of the lines around it into old_text, or set replace_all.",
        "PATH_NOT_FOUND" => "look with dir_list or file_search.",
        "INVALID_PATH" => {
            "paths are relative to the repo's root, without a leading or double slash, `.` or `..`."
        }
        "REPO_NOT_FOUND" | "ORG_NOT_FOUND" => "repo_list shows the repos you can see.",
        "BOOKMARK_NOT_FOUND" => "bookmark_list shows the bookmarks.",
        "CHANGE_NOT_FOUND" | "CHANGE_AMBIGUOUS" => {
            "pass a bookmark's name, or a change id from change_list."
        }
        "OPERATION_NOT_FOUND" | "NOTHING_TO_UNDO" => {
            "operation_list shows the actions of a change; older ones are not kept singly, but \
             restore reaches every commit."
        }
        "NON_FORWARD_MOVE" => {
            "pass allow_backwards if the bookmark is really to leave what it names."
        }
        "FORBIDDEN" => "your credential does not permit this; nothing you pass will change that.",
        "PAYLOAD_TOO_LARGE" => "ask for less, or write less at a time.",
        "RATE_LIMITED" | "UNAVAILABLE" => "wait a few seconds and try again.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_well_described() {
        let mut names = std::collections::BTreeSet::new();
        for tool in TOOLS.iter() {
            let About {
                name, description, ..
            } = tool.about;
            assert!(names.insert(name), "{name} twice");
            assert!((40..=1500).contains(&description.len()), "{name}");
            for schema in [&tool.input, &tool.output] {
                assert_eq!(schema["type"], "object", "{name}: {schema}");
                let text = schema.to_string();
                assert!(
                    !text.contains("$ref") && !text.contains("$schema"),
                    "{name}"
                );
            }
            assert_eq!(tool.input["additionalProperties"], false, "{name}");
            let inputs = tool.input["properties"].as_object();
            for (input, schema) in inputs.into_iter().flatten() {
                assert!(schema["description"].is_string(), "{name}.{input}");
            }
            // Whatever replaces says what it was decided on.
            let fences = ["expected_", "action", "edits", "operations"];
            let fenced = inputs.into_iter().flatten().any(|(input, schema)| {
                fences.iter().any(|fence| input.starts_with(fence))
                    || schema.to_string().contains("expected_version")
            });
            let replaces = matches!(tool.about.effect, Effect::Replaces | Effect::ReplacesAgain);
            assert!(fenced || !replaces, "{name} is not fenced");
        }
        assert!(names.len() > 25);
    }

    #[test]
    fn every_tool_is_documented() {
        let page = include_str!("../../../../docs/mcp.md");
        for tool in TOOLS.iter() {
            let row = format!("| `{}` |", tool.about.name);
            assert!(page.contains(&row), "{row}");
        }
        assert_eq!(page.matches("\n| `").count(), TOOLS.len());
    }
}
