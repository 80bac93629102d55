//! Webhooks: what happened goes to those who asked to be told.
//!
//! Events are rows written by the transactions that made them happen; deliveries are rows too. A
//! worker turns the first into the second and sends them, target by target, the oldest first and
//! each until it is answered 2xx or given up. Nothing but what is being sent is kept in memory, so
//! a server that dies goes on where it was; a delivery whose answer it did not see is sent again.

pub mod address;
mod payload;
mod schedule;
mod send;
mod signature;

use std::{collections::HashMap, sync::Arc, time::Duration};

use mesa_repo::{
    ErrorKind, Versioned,
    catalog::DELIVERIES_MAX,
    records::webhook::{Delivery, DeliveryState, HookEvent},
};
use mesa_types::{Nanos, OrgId, WebhookId};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use self::send::Sender;
use crate::state::App;

/// How often events and queues are looked at.
const TICK: Duration = Duration::from_millis(100);
/// Events queued in one go for one org.
const EVENTS_MAX: usize = 256;
/// Targets sent to at the same time.
const SENDING_MAX: usize = 16;
/// Delivered and failed deliveries are kept this long.
const KEPT: Nanos = Nanos(30 * 24 * 3600 * 1_000_000_000);

/// The worker's parts, cheap to clone.
#[derive(Clone)]
struct Worker {
    app: App,
    sender: Sender,
    stop: CancellationToken,
    slots: Arc<Mutex<HashMap<WebhookId, Slot>>>,
    sending: Arc<Semaphore>,
}

/// What is known of a target that has something in its queue.
#[derive(Clone, Copy)]
struct Slot {
    /// Somebody sends to it.
    busy: bool,
    /// Nothing is due before.
    due: Nanos,
}

/// Tells targets of events until the server stops.
pub async fn run(app: App, sender: Sender, stop: CancellationToken) {
    let worker = Worker {
        app,
        sender,
        stop: stop.clone(),
        slots: Arc::default(),
        sending: Arc::new(Semaphore::new(SENDING_MAX)),
    };
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        for org in worker.app.catalog().hooked_orgs() {
            if let Err(error) = worker.look_at(&org).await {
                tracing::warn!(%org, "webhooks wait: {error}");
            }
        }
    }
}

impl Worker {
    async fn look_at(&self, org: &OrgId) -> Result<(), mesa_repo::Error> {
        for event in self.app.catalog().unqueued_events(org, EVENTS_MAX).await? {
            self.queue(&event).await?;
        }
        let targets = self.app.catalog().queued_targets(org).await?;
        let now = self.app.catalog().now();
        for target in targets {
            let mut slots = self.slots.lock();
            let slot = slots.entry(target.clone()).or_insert(Slot {
                busy: false,
                due: Nanos(i64::MIN),
            });
            if slot.busy || slot.due > now {
                continue;
            }
            let Ok(permit) = Arc::clone(&self.sending).try_acquire_owned() else {
                return Ok(());
            };
            slot.busy = true;
            drop(slots);
            let (worker, org) = (self.clone(), org.clone());
            tokio::spawn(async move {
                let due = tokio::select! {
                    () = worker.stop.cancelled() => Ok(None),
                    due = worker.send_all(&org, &target) => due,
                };
                let mut slots = worker.slots.lock();
                match due {
                    Ok(None) => drop(slots.remove(&target)),
                    Ok(Some(due)) => {
                        slots.insert(target, Slot { busy: false, due });
                    }
                    Err(error) => {
                        tracing::warn!(%target, "a webhook target waits: {error}");
                        let due = Nanos(worker.app.catalog().now().0 + 1_000_000_000);
                        slots.insert(target, Slot { busy: false, due });
                    }
                }
                drop(permit);
            });
        }
        Ok(())
    }

    /// Queues an event for everybody who is to be told of it.
    async fn queue(&self, event: &Versioned<HookEvent>) -> Result<(), mesa_repo::Error> {
        let mut targets = self.app.catalog().webhooks_for(event).await?;
        let mut body = String::new();
        if !targets.is_empty() {
            match payload::body(&self.app, event).await {
                Ok(made) => body = made,
                Err(error) if error.is_temporary() => {
                    tracing::warn!(event = %event.id, "an event waits: {}", error.message());
                    return Ok(());
                }
                Err(error) => {
                    tracing::error!(event = %event.id, "nobody is told: {}", error.message());
                    targets.clear();
                }
            }
        }
        let catalog = self.app.catalog();
        catalog.queue_deliveries(event, &body, &targets).await?;
        Ok(())
    }

    /// Sends what is due to a target, oldest first; answers when the next attempt is due, if
    /// something is left.
    async fn send_all(
        &self,
        org: &OrgId,
        target: &WebhookId,
    ) -> Result<Option<Nanos>, mesa_repo::Error> {
        let catalog = self.app.catalog();
        while let Some((target, delivery)) = catalog.next_delivery(org, target).await? {
            if delivery.next > catalog.now() {
                return Ok(Some(delivery.next));
            }
            let secret = catalog.webhook_secret(&target)?;
            let attempt = self
                .sender
                .send(&target, &secret, &delivery, catalog.now())
                .await;
            let good = attempt.status.is_some_and(|s| (200..300).contains(&s));
            let metrics = self.app.metrics();
            let counter = if good {
                &metrics.webhooks_delivered
            } else {
                &metrics.webhooks_refused
            };
            counter.add(1);
            let (state, next) = self.after(&delivery, good);
            match catalog
                .record_attempt(&delivery, attempt, state, next)
                .await
            {
                // A lost race is the target's deletion; the next look tells.
                Ok(_) => {}
                Err(error) if error.kind == ErrorKind::Unavailable => return Err(error),
                Err(error) => tracing::error!(target = %target.id, "an attempt is lost: {error}"),
            }
        }
        Ok(None)
    }

    fn after(&self, delivery: &Delivery, good: bool) -> (DeliveryState, Nanos) {
        let catalog = self.app.catalog();
        let now = catalog.now();
        if good {
            return (DeliveryState::Delivered, now);
        }
        let done = delivery.attempts.len() + 1;
        let first = delivery.attempts.first().map_or(now, |a| a.at);
        let mut jitter = [0];
        catalog.random().fill(&mut jitter);
        match schedule::next(done, first, now, jitter[0]) {
            Some(next) => (DeliveryState::Pending, next),
            None => (DeliveryState::Failed, now),
        }
    }
}

/// Deletes deliveries that are kept no longer: the oldest ones of each target.
pub async fn purge(app: &App) -> Result<(), mesa_repo::Error> {
    let catalog = app.catalog();
    let before = Nanos(catalog.now().0.saturating_sub(KEPT.0));
    for org in catalog.hooked_orgs() {
        for target in catalog.webhook_ids(&org).await? {
            while catalog
                .drop_deliveries(&org, &target, DELIVERIES_MAX)
                .await?
                > 0
            {}
            while catalog.drop_finished(&org, &target, before).await? > 0 {}
        }
    }
    Ok(())
}
