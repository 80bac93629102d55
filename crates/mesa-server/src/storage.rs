//! What the stores count, for the metrics page.

use std::sync::Arc;

use mesa_meta::SqliteStore;
use mesa_store::PackStore;

use crate::{metrics::Sample, state::Samples};

/// Counts of both stores.
pub(crate) fn samples(meta: Arc<SqliteStore>, packs: PackStore) -> Samples {
    Box::new(move || {
        let calls = meta.counters().calls();
        let counter = |name, help, value: u64| Sample {
            name,
            help,
            kind: "counter",
            value: value as f64,
        };
        let packed = packs.counts();
        vec![
            counter(
                "packs_written_total",
                "Packs written.",
                packed.packs_written,
            ),
            counter(
                "pack_objects_written_total",
                "Objects packed.",
                packed.objects_written,
            ),
            counter(
                "pack_bytes_stored_total",
                "Bytes of packs written.",
                packed.bytes_stored,
            ),
            counter(
                "pack_range_reads_total",
                "Ranges read from packs.",
                packed.range_reads,
            ),
            counter(
                "pack_cache_hits_total",
                "Objects found in memory.",
                packed.cache_hits,
            ),
            counter(
                "pack_cache_misses_total",
                "Objects not in memory.",
                packed.cache_misses,
            ),
            counter(
                "store_operations_total",
                "Calls of the pack store to objects and index.",
                packed.store_operations(),
            ),
            counter("meta_gets_total", "Rows read one by one.", calls.gets),
            counter(
                "meta_get_manys_total",
                "Reads of several rows.",
                calls.get_manys,
            ),
            counter("meta_scans_total", "Range reads.", calls.scans),
            counter("meta_commits_total", "Batches committed.", calls.commits),
            counter(
                "meta_transactions_total",
                "Durable transactions the batches were folded into.",
                calls.transactions,
            ),
        ]
    })
}
