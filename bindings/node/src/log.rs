//! The log as calls of functions of JavaScript's.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Once, Weak},
    time::SystemTime,
};

use napi::{
    Result, Status,
    bindgen_prelude::Function,
    threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode},
};
use napi_derive::napi;
use parking_lot::RwLock;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

use crate::stat::millis;

/// Lines that wait for JavaScript; more are dropped.
const WAITING_MAX: usize = 1024;

/// A line of the log.
#[napi(object)]
#[derive(Clone)]
pub struct LogRecord {
    /// ERROR, WARN, INFO, DEBUG or TRACE.
    pub level: String,
    /// What logs.
    pub target: String,
    /// What it says.
    pub message: String,
    /// Milliseconds since 1970.
    pub timestamp: f64,
    /// The rest.
    pub fields: Texts,
}

type Texts = std::collections::HashMap<String, String>;

type Call = ThreadsafeFunction<LogRecord, (), LogRecord, Status, false, true, WAITING_MAX>;

/// A listener; it is told for as long as somebody has this.
pub struct Listener {
    call: Call,
    level: Level,
}

static LISTENERS: RwLock<Vec<Weak<Listener>>> = RwLock::new(Vec::new());

/// Tells a function of lines of at least this level.
pub fn listen(call: &Function<'_, LogRecord, ()>, level: Option<&str>) -> Result<Arc<Listener>> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Another addon's or program's stays.
        let _ = tracing_subscriber::registry().with(ToListeners).try_init();
    });
    let level = match level {
        Some("error") => Level::ERROR,
        Some("info") => Level::INFO,
        Some("debug") => Level::DEBUG,
        Some("trace") => Level::TRACE,
        _ => Level::WARN,
    };
    let call = call
        .build_threadsafe_function()
        .weak::<true>()
        .max_queue_size::<WAITING_MAX>()
        .build()?;
    let listener = Arc::new(Listener { call, level });
    let mut listeners = LISTENERS.write();
    listeners.retain(|listener| listener.strong_count() > 0);
    listeners.push(Arc::downgrade(&listener));
    Ok(listener)
}

struct ToListeners;

fn interested(metadata: &Metadata<'_>) -> Vec<Arc<Listener>> {
    let listeners = LISTENERS.read();
    let live = listeners.iter().filter_map(Weak::upgrade);
    live.filter(|listener| *metadata.level() <= listener.level)
        .collect()
}

impl<S: Subscriber> Layer<S> for ToListeners {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target().starts_with("mesa") && !interested(metadata).is_empty()
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let message = fields.0.remove("message").unwrap_or_default();
        let record = LogRecord {
            level: metadata.level().to_string(),
            target: metadata.target().to_owned(),
            message,
            timestamp: millis(SystemTime::now()),
            fields: fields.0.into_iter().collect(),
        };
        for listener in interested(metadata) {
            let mode = ThreadsafeFunctionCallMode::NonBlocking;
            // A full queue drops the line.
            let _ = listener.call.call(record.clone(), mode);
        }
    }
}

#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}
