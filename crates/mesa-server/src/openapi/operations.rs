//! The table of operations.

use mesa_api as api;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

/// Where a parameter is.
#[derive(Clone, Copy)]
pub enum Place {
    Query,
    Header,
}

/// A parameter that is not part of the path.
pub struct Parameter {
    pub name: &'static str,
    pub place: Place,
    pub required: bool,
    pub description: &'static str,
    pub schema: fn() -> Value,
}

type Build = fn(&mut SchemaGenerator) -> Schema;

/// One operation.
pub struct Operation {
    pub method: &'static str,
    /// Below `/v1`.
    pub path: &'static str,
    pub id: &'static str,
    pub tag: &'static str,
    pub summary: &'static str,
    /// `read`, `write`, `admin`, `operator` or `any`.
    pub scope: &'static str,
    pub parameters: &'static [Parameter],
    pub body: Option<Build>,
    pub success: (u16, Build),
    /// What it can answer besides JSON.
    pub other_media_types: &'static [&'static str],
    /// Whether it takes `Range`.
    pub ranges: bool,
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

const fn query(name: &'static str, description: &'static str, schema: fn() -> Value) -> Parameter {
    Parameter {
        name,
        place: Place::Query,
        required: false,
        description,
        schema,
    }
}

const fn required(name: &'static str, description: &'static str) -> Parameter {
    Parameter {
        required: true,
        ..query(name, description, text)
    }
}

fn conflicts() -> Value {
    json!({"type": "string", "enum": ["include", "only", "exclude"], "default": "include"})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}

fn limit() -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": 100, "default": 50})
}

fn status() -> Value {
    json!({"type": "string", "enum": ["active", "revoked", "expired", "all"], "default": "all"})
}

fn scope() -> Value {
    json!({"type": "string", "enum": ["read", "write", "admin"]})
}

const LIMIT: Parameter = query("limit", "Items in the answer.", limit);
const CURSOR: Parameter = query("cursor", "`next_cursor` of the page before.", text);
const STATUS: Parameter = query("status", "Which keys.", status);
const ONCE: Parameter = Parameter {
    name: "Idempotency-Key",
    place: Place::Header,
    required: false,
    description: "Sent again with the same key within 24 hours, the request gets the first answer.",
    schema: once,
};

fn once() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"})
}

fn abandoned() -> Value {
    json!({"type": "string", "enum": ["abandoned"]})
}

fn depth() -> Value {
    json!({"type": "integer", "minimum": 0, "maximum": 10})
}

const fn get(
    path: &'static str,
    id: &'static str,
    tag: &'static str,
    scope: &'static str,
    summary: &'static str,
    parameters: &'static [Parameter],
    answer: Build,
) -> Operation {
    Operation {
        method: "get",
        path,
        id,
        tag,
        summary,
        scope,
        parameters,
        body: None,
        success: (200, answer),
        other_media_types: &[],
        ranges: false,
    }
}

const fn write(
    method: &'static str,
    (path, id, tag): (&'static str, &'static str, &'static str),
    scope: &'static str,
    summary: &'static str,
    body: Option<Build>,
    success: (u16, Build),
) -> Operation {
    Operation {
        method,
        path,
        id,
        tag,
        summary,
        scope,
        parameters: &[ONCE],
        body,
        success,
        other_media_types: &[],
        ranges: false,
    }
}

/// Every operation, by path.
pub const OPERATIONS: &[Operation] = &[
    get(
        "/whoami",
        "whoami",
        "Org",
        "any",
        "The identity behind the credential",
        &[],
        of::<api::Whoami>,
    ),
    get(
        "/admin/orgs",
        "listOrgs",
        "Org",
        "operator",
        "Lists the orgs of the server",
        &[LIMIT, CURSOR],
        of::<api::OrgList>,
    ),
    write(
        "post",
        ("/admin/orgs", "createOrg", "Org"),
        "operator",
        "Makes an org with its first admin key",
        Some(of::<api::OrgCreate>),
        (201, of::<api::OrgCreated>),
    ),
    get(
        "/{org}",
        "getOrg",
        "Org",
        "read",
        "The org in short",
        &[],
        of::<api::OrgSummary>,
    ),
    get(
        "/{org}/audit",
        "listAudit",
        "Org",
        "admin",
        "What changed the org, newest first",
        &[LIMIT, CURSOR],
        of::<api::AuditList>,
    ),
    get(
        "/{org}/api-keys",
        "listApiKeys",
        "Key",
        "admin",
        "Lists API keys",
        &[
            LIMIT,
            CURSOR,
            STATUS,
            query("query", "Part of the name.", text),
            query("scope", "Named among its scopes.", scope),
            query(
                "repo_id",
                "Named among the repos it is restricted to.",
                text,
            ),
        ],
        of::<api::ApiKeyList>,
    ),
    write(
        "post",
        ("/{org}/api-keys", "createApiKey", "Key"),
        "admin",
        "Makes an API key, never stronger than the one that asks",
        Some(of::<api::ApiKeyCreate>),
        (201, of::<api::ApiKeyCreated>),
    ),
    write(
        "delete",
        ("/{org}/api-keys/{id}", "revokeApiKey", "Key"),
        "admin",
        "Revokes an API key and the tokens it signed",
        None,
        (200, of::<api::Success>),
    ),
    write(
        "patch",
        ("/{org}/api-keys/{id}", "updateApiKey", "Key"),
        "admin",
        "Changes the labels of an API key",
        Some(of::<api::ApiKeyTagUpdate>),
        (200, of::<api::ApiKeyTags>),
    ),
    get(
        "/{org}/signing-keys",
        "listSigningKeys",
        "Key",
        "admin",
        "Lists signing keys",
        &[LIMIT, CURSOR, STATUS],
        of::<api::SigningKeyList>,
    ),
    write(
        "post",
        ("/{org}/signing-keys", "createSigningKey", "Key"),
        "admin",
        "Registers the public half of a signing key",
        Some(of::<api::SigningKeyCreate>),
        (201, of::<api::SigningKey>),
    ),
    write(
        "delete",
        ("/{org}/signing-keys/{id}", "revokeSigningKey", "Key"),
        "admin",
        "Revokes a signing key and the tokens it signed",
        None,
        (200, of::<api::Success>),
    ),
    get(
        "/{org}/webhook-targets",
        "listWebhookTargets",
        "Webhook",
        "admin",
        "Lists webhook targets",
        &[LIMIT, CURSOR],
        of::<api::WebhookTargetList>,
    ),
    write(
        "post",
        ("/{org}/webhook-targets", "createWebhookTarget", "Webhook"),
        "admin",
        "Makes a webhook target",
        Some(of::<api::WebhookTargetCreate>),
        (201, of::<api::WebhookTargetCreated>),
    ),
    get(
        "/{org}/webhook-targets/{webhookTargetId}",
        "getWebhookTarget",
        "Webhook",
        "admin",
        "Reads a webhook target",
        &[],
        of::<api::WebhookTarget>,
    ),
    write(
        "patch",
        (
            "/{org}/webhook-targets/{webhookTargetId}",
            "updateWebhookTarget",
            "Webhook",
        ),
        "admin",
        "Changes a webhook target",
        Some(of::<api::WebhookTargetUpdate>),
        (200, of::<api::WebhookTarget>),
    ),
    write(
        "delete",
        (
            "/{org}/webhook-targets/{webhookTargetId}",
            "deleteWebhookTarget",
            "Webhook",
        ),
        "admin",
        "Deletes a webhook target and its deliveries",
        None,
        (200, of::<api::Success>),
    ),
    get(
        "/{org}/webhook-targets/{webhookTargetId}/deliveries",
        "listDeliveries",
        "Webhook",
        "admin",
        "Lists the deliveries of a target, newest first",
        &[LIMIT, CURSOR],
        of::<api::DeliveryList>,
    ),
    write(
        "post",
        (
            "/{org}/webhook-targets/{webhookTargetId}/deliveries/{delivery}/redeliver",
            "redeliver",
            "Webhook",
        ),
        "admin",
        "Sends the event of a delivery once more",
        None,
        (201, of::<api::Delivery>),
    ),
    get(
        "/{org}/repos",
        "listRepos",
        "Repo",
        "read",
        "Lists repos",
        &[
            LIMIT,
            CURSOR,
            query(
                "tags",
                "`k:v,k2:v2`, or a JSON object with $and, $or, $not, $eq, $in, $contains, $starts_with, $ends_with and $exists.",
                text,
            ),
        ],
        of::<api::RepoList>,
    ),
    write(
        "post",
        ("/{org}/repos", "createRepo", "Repo"),
        "write",
        "Makes a repo",
        Some(of::<api::RepoCreate>),
        (201, of::<api::Repo>),
    ),
    write(
        "patch",
        ("/{org}/repos/tags", "bulkUpdateRepoTags", "Repo"),
        "write",
        "Sets or removes one label on several repos",
        Some(of::<api::BulkTags>),
        (200, of::<api::BulkTagsResult>),
    ),
    get(
        "/{org}/{repo}",
        "getRepo",
        "Repo",
        "read",
        "Reads a repo",
        &[],
        of::<api::Repo>,
    ),
    write(
        "patch",
        ("/{org}/{repo}", "updateRepo", "Repo"),
        "write",
        "Changes a repo",
        Some(of::<api::RepoUpdate>),
        (200, of::<api::Repo>),
    ),
    write(
        "delete",
        ("/{org}/{repo}", "deleteRepo", "Repo"),
        "write",
        "Deletes a repo",
        None,
        (200, of::<api::Success>),
    ),
    get(
        "/{org}/{repo}/upstream/syncs",
        "listRepoUpstreamSyncs",
        "Repo",
        "read",
        "Lists syncs with the upstream, newest first",
        &[LIMIT, CURSOR],
        of::<api::SyncList>,
    ),
    write(
        "post",
        ("/{org}/{repo}/upstream/syncs", "syncUpstream", "Repo"),
        "write",
        "Asks for a sync with the upstream",
        Some(of::<api::SyncCreate>),
        (201, of::<api::Sync>),
    ),
    get(
        "/{org}/{repo}/upstream/syncs/{syncId}",
        "getRepoUpstreamSync",
        "Repo",
        "read",
        "Reads a sync",
        &[],
        of::<api::Sync>,
    ),
    Operation {
        other_media_types: &["application/octet-stream"],
        ranges: true,
        ..get(
            "/{org}/{repo}/content",
            "getContent",
            "Content",
            "read",
            "A file, symlink or directory as JSON, or the bytes of a file",
            &[
                query(
                    "change_id",
                    "A change or bookmark; the default bookmark when absent.",
                    text,
                ),
                query("path", "Empty or absent: the root.", text),
                query(
                    "depth",
                    "Levels of a directory; 0 = only the directory itself.",
                    depth,
                ),
            ],
            of::<api::Content>,
        )
    },
    get(
        "/{org}/{repo}/bookmarks",
        "listBookmarks",
        "Bookmark",
        "read",
        "Lists bookmarks",
        &[
            LIMIT,
            CURSOR,
            query(
                "glob",
                "`*` and `?` stand for any text and any character.",
                text,
            ),
        ],
        of::<api::BookmarkList>,
    ),
    get(
        "/{org}/{repo}/bookmarks/{bookmark}",
        "getBookmark",
        "Bookmark",
        "read",
        "Reads a bookmark",
        &[],
        of::<api::Bookmark>,
    ),
    write(
        "post",
        ("/{org}/{repo}/bookmarks", "createBookmark", "Bookmark"),
        "write",
        "Makes a bookmark",
        Some(of::<api::BookmarkCreate>),
        (201, of::<api::Bookmark>),
    ),
    write(
        "patch",
        (
            "/{org}/{repo}/bookmarks/{bookmark}",
            "moveBookmark",
            "Bookmark",
        ),
        "write",
        "Moves a bookmark, and who writes to it",
        Some(of::<api::BookmarkMove>),
        (200, of::<api::BookmarkMoved>),
    ),
    write(
        "delete",
        (
            "/{org}/{repo}/bookmarks/{bookmark}",
            "deleteBookmark",
            "Bookmark",
        ),
        "write",
        "Deletes a bookmark",
        None,
        (200, of::<api::Success>),
    ),
    write(
        "post",
        ("/{org}/{repo}/bookmarks/merge", "mergeBookmark", "Bookmark"),
        "write",
        "Merges one bookmark into another",
        Some(of::<api::BookmarkMerge>),
        (200, of::<api::MergeResult>),
    ),
    Operation {
        other_media_types: &["text/plain"],
        ..get(
            "/{org}/{repo}/diff",
            "getDiff",
            "Change",
            "read",
            "What differs between two changes, as JSON or as a patch",
            &[
                required("base_change_id", "A change or bookmark to compare with."),
                required("head_change_id", "A change or bookmark to look at."),
                query("conflicts", "Which paths are shown.", conflicts),
            ],
            of::<api::Diff>,
        )
    },
    get(
        "/{org}/{repo}/changes",
        "listChanges",
        "Change",
        "read",
        "The changes reachable from a bookmark, newest first",
        &[
            LIMIT,
            CURSOR,
            query("bookmark", "The default bookmark when absent.", text),
            query(
                "state",
                "`abandoned`: all abandoned changes of the repo instead, by id.",
                abandoned,
            ),
        ],
        of::<api::ChangeList>,
    ),
    get(
        "/{org}/{repo}/changes/{change_id}",
        "getChange",
        "Change",
        "read",
        "Reads a change with the paths it changed",
        &[],
        of::<api::ChangeDetails>,
    ),
    write(
        "post",
        ("/{org}/{repo}/changes", "createChange", "Change"),
        "write",
        "Makes a change on top of another",
        Some(of::<api::ChangeCreate>),
        (201, of::<api::Change>),
    ),
    write(
        "patch",
        (
            "/{org}/{repo}/changes/{change_id}",
            "updateChange",
            "Change",
        ),
        "write",
        "Writes to a change, or resolves its conflicts",
        Some(of::<api::ChangeUpdate>),
        (200, of::<api::Change>),
    ),
    write(
        "post",
        (
            "/{org}/{repo}/changes/{change_id}/new",
            "closeChange",
            "Change",
        ),
        "write",
        "Closes a change; who writes to it goes on in a new one on top",
        Some(of::<api::ChangeClose>),
        (200, of::<api::ChangeClosed>),
    ),
    write(
        "post",
        (
            "/{org}/{repo}/changes/{change_id}/abandon",
            "abandonChange",
            "Change",
        ),
        "write",
        "Gives a change up, or brings it back",
        Some(of::<api::ChangeAbandon>),
        (200, of::<api::ChangeAbandoned>),
    ),
    get(
        "/{org}/{repo}/changes/{change_id}/operations",
        "listActions",
        "Operation",
        "read",
        "What programs and requests did to a change, newest first",
        &[
            LIMIT,
            CURSOR,
            query(
                "path",
                "Only actions that touched this path or something below it.",
                text,
            ),
            query(
                "since",
                "Only actions that ended at this time or later.",
                time,
            ),
            query("until", "Only actions that began before this time.", time),
            query("session", "Only actions of this session.", text),
            query("key_id", "Only actions of this key.", text),
        ],
        of::<api::ActionList>,
    ),
    get(
        "/{org}/{repo}/changes/{change_id}/operations/{operation}",
        "getAction",
        "Operation",
        "read",
        "The action an operation belongs to, with all its operations",
        &[LIMIT, CURSOR],
        of::<api::ActionDetails>,
    ),
    write(
        "post",
        (
            "/{org}/{repo}/changes/{change_id}/undo",
            "undoAction",
            "Operation",
        ),
        "write",
        "Takes back what an action did; what was written later stays",
        Some(of::<api::UndoRequest>),
        (200, of::<api::UndoResult>),
    ),
    write(
        "post",
        (
            "/{org}/{repo}/changes/{change_id}/restore",
            "restorePaths",
            "Operation",
        ),
        "write",
        "Brings files and directories back as they were",
        Some(of::<api::RestoreRequest>),
        (200, of::<api::RestoreResult>),
    ),
];
