//! JSON schemas of what tools take and give.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;

/// Of arguments.
pub fn read<T: JsonSchema>() -> Value {
    schema::<T>(settings().for_deserialize())
}

/// Of results.
pub fn written<T: JsonSchema>() -> Value {
    schema::<T>(settings().for_serialize())
}

/// In one piece and without naming a dialect: not every client knows the newest by name, or follows
/// references.
fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = None;
        settings.inline_subschemas = true;
    })
}

fn schema<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let mut value = settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    if let Some(root) = value.as_object_mut() {
        root.remove("title");
        root.remove("description");
    }
    without_widths(&mut value);
    value
}

/// Formats such as `uint64` are Rust's; validators warn of them.
fn without_widths(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let width = map.get("format").and_then(Value::as_str);
            if width.is_some_and(|format| format.contains("int")) {
                map.remove("format");
            }
            map.values_mut().for_each(without_widths);
        }
        Value::Array(items) => items.iter_mut().for_each(without_widths),
        _ => {}
    }
}
