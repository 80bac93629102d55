//! Tables and statements.

use std::{path::PathBuf, sync::LazyLock};

use rusqlite::Connection;

use super::files::{OpenError, Refused};
use crate::store::Table;

/// `Mesa` in ASCII.
const APPLICATION_ID: i64 = 0x4d65_7361;
const FORMAT: i64 = 1;

/// The statements of one table.
pub(super) struct Sql {
    pub(super) get: String,
    pub(super) version: String,
    pub(super) put: String,
    pub(super) delete: String,
    scans: [String; 4],
}

impl Sql {
    fn new(table: Table) -> Self {
        let name = table.name();
        let scan = |end: &str, order: &str| {
            format!(
                "SELECT key, version, value FROM {name} WHERE key >= ?2{end} \
                 ORDER BY key{order} LIMIT ?1"
            )
        };
        Self {
            get: format!("SELECT version, value FROM {name} WHERE key = ?1"),
            version: format!("SELECT version FROM {name} WHERE key = ?1"),
            put: format!(
                "INSERT INTO {name}(key, version, value) VALUES (?1, ?2, ?3) \
                 ON CONFLICT(key) DO UPDATE SET version = excluded.version, value = excluded.value"
            ),
            delete: format!("DELETE FROM {name} WHERE key = ?1"),
            scans: [
                scan("", ""),
                scan("", " DESC"),
                scan(" AND key < ?3", ""),
                scan(" AND key < ?3", " DESC"),
            ],
        }
    }

    pub(super) fn scan(&self, has_end: bool, descending: bool) -> &str {
        &self.scans[usize::from(has_end) * 2 + usize::from(descending)]
    }
}

static SQL: LazyLock<Vec<Sql>> = LazyLock::new(|| Table::ALL.map(Sql::new).into());

pub(super) fn sql(table: Table) -> &'static Sql {
    &SQL[table.index()]
}

/// Whether a table's values are often larger than a page's share: those live beside the key's
/// tree instead of in it.
fn has_large_values(table: Table) -> bool {
    matches!(table, Table::OpLog | Table::Idempotency)
}

/// Makes the tables that are missing.
fn tables_script() -> String {
    let table = |table: Table| {
        let tail = if has_large_values(table) {
            ""
        } else {
            " WITHOUT ROWID"
        };
        format!(
            "CREATE TABLE IF NOT EXISTS {}(key BLOB NOT NULL PRIMARY KEY, \
             version INTEGER NOT NULL, value BLOB NOT NULL){tail};\n",
            table.name()
        )
    };
    Table::ALL.map(table).concat()
}

/// Creates the tables in a new file, and refuses files of other programs and formats.
pub(super) fn prepare(connection: &Connection) -> Result<(), Refused> {
    let path = || PathBuf::from(connection.path().unwrap_or_default());
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, format) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, format) {
        // A table that came later is added; nothing else of the format differs.
        (APPLICATION_ID, FORMAT) => {
            connection.execute_batch(&tables_script())?;
            return Ok(());
        }
        (APPLICATION_ID, found) => {
            return Err(OpenError::Format {
                path: path(),
                found,
                known: FORMAT,
            }
            .into());
        }
        (0, 0) if tables == 0 => {}
        _ => return Err(OpenError::Foreign(path()).into()),
    }
    let tables = tables_script();
    let script = format!(
        "BEGIN IMMEDIATE;\n\
         {tables}\
         CREATE TABLE counter(next INTEGER NOT NULL);\n\
         INSERT INTO counter VALUES (1);\n\
         PRAGMA application_id = {APPLICATION_ID};\n\
         PRAGMA user_version = {FORMAT};\n\
         COMMIT;"
    );
    connection.execute_batch(&script)?;
    Ok(())
}
