//! The OpenAPI 3.1 document of the REST contract, made from the types that travel and from one
//! table of operations. `docs/openapi.json` is the same text; a test holds them together.

mod operations;

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use mesa_api::ErrorEnvelope;
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use self::operations::{OPERATIONS, Operation, Place};

static TEXT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", document()));

/// `GET /openapi.json`.
pub async fn page() -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], TEXT.as_str()).into_response()
}

/// Every status a request can be refused with, and the header that comes with it.
const REFUSALS: &[(u16, &str, Option<&str>)] = &[
    (400, "The request is wrong", None),
    (
        401,
        "No credential, or no valid one",
        Some("WWW-Authenticate"),
    ),
    (403, "The credential does not permit this", None),
    (404, "No such thing, or one the credential cannot see", None),
    (405, "The path takes other methods", Some("Allow")),
    (406, "The wanted representation is not available", None),
    (408, "The body did not arrive in time", None),
    (409, "The state does not allow this", None),
    (413, "The body is too large", None),
    (414, "The request line is too long", None),
    (415, "The body is not JSON", None),
    (
        416,
        "The range lies outside the content",
        Some("Content-Range"),
    ),
    (429, "Too many requests", Some("Retry-After")),
    (500, "The server failed", None),
    (503, "The server cannot answer now", Some("Retry-After")),
    (507, "The server has no room left", None),
];

/// The two sides of the contract: what is read may lack what is always written.
struct Schemas {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

impl Schemas {
    fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|s| {
                s.definitions_path = "/components/schemas".into();
                s.meta_schema = None;
            })
        };
        Self {
            read: settings().for_deserialize().into_generator(),
            written: settings().for_serialize().into_generator(),
        }
    }
}

/// The whole document.
pub fn document() -> Value {
    let mut schemas = Schemas::new();
    let error = schemas.written.subschema_for::<ErrorEnvelope>();
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = described(operation, &mut schemas);
    }
    let mut components = schemas.read.take_definitions(true);
    components.extend(schemas.written.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Mesa",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The REST contract; docs/rest.md has the rules that hold for all of it.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/v1"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "An API key, or an access token that the client signed.",
            }},
            "headers": headers(),
            "responses": refusals(&error.to_value()),
            "schemas": components,
        },
    })
}

fn headers() -> Value {
    let header = |description: &str, schema: Value| json!({"description": description, "required": true, "schema": schema});
    let text = || json!({"type": "string"});
    json!({
        "x-request-id": header("The id of the request, as in the log.", text()),
        "WWW-Authenticate": header("How to sign in.", json!({"type": "string", "const": "Bearer"})),
        "Allow": header("The methods the path takes.", text()),
        "Content-Range": header("How long the content is.", text()),
        "Retry-After": header("Seconds to wait.", json!({"type": "integer", "minimum": 0})),
    })
}

fn header_refs(names: &[&str]) -> Value {
    let reference = |name: &&str| {
        let target = json!({"$ref": format!("#/components/headers/{name}")});
        ((*name).to_owned(), target)
    };
    names.iter().map(reference).collect::<Map<_, _>>().into()
}

fn refusals(error: &Value) -> Value {
    let mut out = Map::new();
    for (status, description, extra) in REFUSALS {
        let names: Vec<&str> = [Some("x-request-id"), *extra]
            .into_iter()
            .flatten()
            .collect();
        let response = json!({
            "description": description,
            "headers": header_refs(&names),
            "content": {"application/json": {"schema": error}},
        });
        out.insert(format!("E{status}"), response);
    }
    out.into()
}

fn described(operation: &Operation, schemas: &mut Schemas) -> Value {
    let mut content = Map::new();
    let success = (operation.success.1)(&mut schemas.written).to_value();
    content.insert("application/json".to_owned(), json!({"schema": success}));
    for media_type in operation.other_media_types {
        content.insert(
            (*media_type).to_owned(),
            json!({"schema": {"type": "string"}}),
        );
    }
    let mut responses = Map::new();
    let good = json!({
        "description": "Success",
        "headers": header_refs(&["x-request-id"]),
        "content": content,
    });
    responses.insert(operation.success.0.to_string(), good);
    if operation.ranges {
        let part = json!({
            "description": "The part of the bytes that was asked for",
            "headers": header_refs(&["x-request-id", "Content-Range"]),
            "content": {"application/octet-stream": {"schema": {"type": "string"}}},
        });
        responses.insert("206".to_owned(), part);
    }
    for (status, ..) in REFUSALS {
        let reference = json!({"$ref": format!("#/components/responses/E{status}")});
        responses.insert(status.to_string(), reference);
    }
    let mut out = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "x-required-scope": operation.scope,
        "responses": responses,
    });
    let in_path = operation.path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some(json!({
            "name": name,
            "in": "path",
            "required": true,
            "schema": {"type": "string", "minLength": 1},
        }))
    });
    let others = operation.parameters.iter().map(|parameter| {
        let place = match parameter.place {
            Place::Query => "query",
            Place::Header => "header",
        };
        json!({
            "name": parameter.name,
            "in": place,
            "required": parameter.required,
            "description": parameter.description,
            "schema": (parameter.schema)(),
        })
    });
    let parameters: Vec<_> = in_path.chain(others).collect();
    if !parameters.is_empty() {
        out["parameters"] = parameters.into();
    }
    if let Some(body) = operation.body {
        let schema = body(&mut schemas.read).to_value();
        out["requestBody"] =
            json!({"required": true, "content": {"application/json": {"schema": schema}}});
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_the_docs_is_the_page_that_is_served() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
        if std::env::var_os("MESA_UPDATE_OPENAPI").is_some() {
            std::fs::write(path, TEXT.as_str()).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            kept == *TEXT,
            "the contract changed: look whether clients can bear it, then run the test again \
             with MESA_UPDATE_OPENAPI=1"
        );
    }

    #[test]
    fn both_sides_mean_the_same_by_a_name() {
        let mut schemas = Schemas::new();
        for operation in OPERATIONS {
            described(operation, &mut schemas);
        }
        let read = schemas.read.take_definitions(true);
        let written = schemas.written.take_definitions(true);
        for (name, schema) in &read {
            if let Some(other) = written.get(name) {
                assert_eq!(schema, other, "{name}");
            }
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let mut found = 0;
        let mut queue = vec![&document];
        while let Some(value) = queue.pop() {
            match value {
                Value::Object(map) => {
                    if let Some(target) = map.get("$ref").and_then(Value::as_str) {
                        let pointer = target.strip_prefix('#').unwrap();
                        assert!(document.pointer(pointer).is_some(), "{target}");
                        found += 1;
                    }
                    queue.extend(map.values());
                }
                Value::Array(items) => queue.extend(items),
                _ => {}
            }
        }
        assert!(found > 100, "{found}");
    }

    /// What answers always hold must be required, nulls included: clients refuse less.
    #[test]
    fn answers_require_every_key_they_declare() {
        let document = document();
        let required = |name: &str| {
            let list = document["components"]["schemas"][name]["required"].as_array();
            let names = list.unwrap().iter().map(|n| n.as_str().unwrap().to_owned());
            names.collect::<std::collections::BTreeSet<_>>()
        };
        for (schema, keys) in [
            ("Repo", &["id", "upstream", "head_change_id", "tags"][..]),
            ("RepoList", &["repos", "next_cursor", "has_more"]),
            (
                "ApiKey",
                &["last_used_at", "expires_at", "revoked_at", "metadata"],
            ),
            ("Whoami", &["key_id", "key_name", "scopes"]),
            ("Change", &["author", "authors", "authored_at", "committer"]),
            ("WebhookTarget", &["name", "repo_ids"]),
            ("Sync", &["stats", "error", "started_at", "finished_at"]),
        ] {
            let required = required(schema);
            for key in keys {
                assert!(required.contains(*key), "{schema}.{key}");
            }
        }
    }

    /// Every path of the router has its rows.
    #[test]
    fn every_route_is_in_the_table() {
        let bare = |path: &str| {
            let parts = path
                .split('/')
                .map(|part| if part.starts_with('{') { "{}" } else { part });
            parts.collect::<Vec<_>>().join("/")
        };
        let known: std::collections::BTreeSet<_> = OPERATIONS
            .iter()
            .map(|o| bare(&format!("/v1{}", o.path)))
            .collect();
        let router = include_str!("routes.rs");
        let paths = router.split('"').filter(|text| text.starts_with("/v1/"));
        let mut seen = 0;
        for path in paths {
            assert!(
                known.contains(&bare(path)),
                "{path} is not in openapi/operations.rs"
            );
            seen += 1;
        }
        assert!(seen > 15);
    }
}
