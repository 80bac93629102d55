//! Webhook targets, and the queue of what they are to be told.
//!
//! An event is a row of the transaction that made it happen (`raise`), so that it is told exactly
//! when it happened, whatever dies when. [`Catalog::queue_deliveries`] turns it into one delivery
//! for each target in one transaction; a delivery leaves its queue when it was delivered or given
//! up.

use std::collections::BTreeSet;

use mesa_meta::{Batch, Range};
use mesa_types::{DeliveryId, EventName, Nanos, OrgId, RepoId, WebhookId};
use serde_json::json;
use zeroize::Zeroizing;

use super::{Actor, CAS_ATTEMPTS, Catalog};
use crate::{
    auth::Principal,
    error::{Error, ErrorKind},
    page::{Page, PageRequest},
    record::{self, Record, RecordBatch, Versioned},
    records::{
        OperationKind, WebhookTarget,
        webhook::{
            Attempt, Delivery, DeliveryState, HookEvent, HookEventKind, QueuedDelivery, SealedText,
        },
    },
};

/// Targets of one org.
const TARGETS_MAX: usize = 100;
/// Deliveries kept for one target, those in its queue included.
pub const DELIVERIES_MAX: usize = 10_000;
/// Deliveries deleted in one transaction.
const DROP_STEP: usize = 500;
const NAME_CHARS_MAX: usize = 200;
const URL_BYTES_MAX: usize = 2048;
const PURPOSE: &str = "webhook";

/// What a new target needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWebhook {
    /// Where deliveries go; checked by the caller.
    pub url: String,
    /// Name for people.
    pub name: Option<String>,
    /// `push` when absent.
    pub events: Option<BTreeSet<EventName>>,
    /// What the caller sees when absent.
    pub repos: Option<Vec<RepoId>>,
}

/// A change of a target; absent fields stay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookUpdate {
    /// The new name; `Some(None)` removes it.
    pub name: Option<Option<String>>,
    /// The new place.
    pub url: Option<String>,
    /// The new events.
    pub events: Option<BTreeSet<EventName>>,
    /// The new repos; `Some(None)` = all of the org.
    pub repos: Option<Option<Vec<RepoId>>>,
}

fn missing() -> Error {
    Error::not_found(
        "WEBHOOK_TARGET_NOT_FOUND",
        "there is no such webhook target",
    )
}

fn within(caller: &Principal, target: &WebhookTarget) -> bool {
    match (&caller.repos, &target.repos) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(own), Some(its)) => its.is_subset(own),
    }
}

fn checked_name(name: Option<&String>) -> Result<(), Error> {
    if name.is_some_and(|n| n.chars().count() > NAME_CHARS_MAX) {
        return Err(Error::invalid(
            "INVALID_WEBHOOK_NAME",
            format!("a webhook target's name must have at most {NAME_CHARS_MAX} characters"),
        ));
    }
    Ok(())
}

fn checked_events(events: &BTreeSet<EventName>) -> Result<(), Error> {
    if events.is_empty() {
        return Err(Error::invalid(
            "INVALID_EVENTS",
            "events must name at least one event",
        ));
    }
    Ok(())
}

fn checked_url(url: &str) -> Result<(), Error> {
    if url.len() > URL_BYTES_MAX {
        return Err(Error::invalid(
            "INVALID_WEBHOOK_URL",
            format!("a webhook target's URL must have at most {URL_BYTES_MAX} bytes"),
        ));
    }
    Ok(())
}

impl Catalog {
    /// Learns which orgs have targets; to be called once before anything is changed.
    pub async fn load_webhooks(&self) -> Result<(), Error> {
        let mut page = PageRequest::default();
        loop {
            let orgs = self.list_orgs(&page).await?;
            for org in &orgs.items {
                self.note_hooked(&org.id).await?;
            }
            page.cursor = orgs.next;
            if page.cursor.is_none() {
                return Ok(());
            }
        }
    }

    async fn note_hooked(&self, org: &OrgId) -> Result<(), Error> {
        let range = Range::prefix(WebhookTarget::prefix(org));
        let some = self
            .meta()
            .scan(mesa_meta::Table::Hooks, &range, 1, false)
            .await?;
        let mut hooked = self.hooked().write();
        if some.is_empty() {
            hooked.remove(org);
        } else {
            hooked.insert(org.clone());
        }
        Ok(())
    }

    /// The orgs that have targets.
    pub fn hooked_orgs(&self) -> Vec<OrgId> {
        self.hooked().read().iter().cloned().collect()
    }

    /// Adds an event to the batch that makes it happen, if anybody may want it.
    pub fn raise(&self, batch: &mut Batch, org: &OrgId, repo: &RepoId, what: HookEventKind) {
        if !self.hooked().read().contains(org) {
            return;
        }
        batch.put_record(&HookEvent {
            org: org.clone(),
            repo: repo.clone(),
            id: self.unique(),
            at: self.now(),
            what,
        });
    }

    /// The event of an entry of the operation log.
    pub(super) fn raise_operation(
        &self,
        batch: &mut Batch,
        org: &OrgId,
        repo: &RepoId,
        what: &OperationKind,
    ) {
        let event = match what.clone() {
            OperationKind::RepoCreated => HookEventKind::RepoCreated,
            OperationKind::BookmarkCreated { name, change } => {
                HookEventKind::BookmarkCreated { name, change }
            }
            OperationKind::BookmarkMoved { name, from, to } => {
                HookEventKind::BookmarkMoved { name, from, to }
            }
            OperationKind::BookmarkMerged { name, merge, .. } => HookEventKind::BookmarkMerged {
                name,
                change: merge,
            },
            OperationKind::BookmarkDeleted { name, change } => {
                HookEventKind::BookmarkDeleted { name, change }
            }
            OperationKind::ChangeCreated { change } => HookEventKind::ChangeCreated { change },
            OperationKind::ChangeSealed {
                change,
                from: Some(from),
                to,
            } => HookEventKind::ChangeEvolved { change, from, to },
            _ => return,
        };
        self.raise(batch, org, repo, event);
    }

    /// Creates a target; answers it with its secret, which is shown only now.
    pub async fn create_webhook(
        &self,
        caller: &Principal,
        new: NewWebhook,
        actor: &Actor,
    ) -> Result<(WebhookTarget, String), Error> {
        checked_name(new.name.as_ref())?;
        checked_url(&new.url)?;
        let events = new.events.unwrap_or_else(|| [EventName::Push].into());
        checked_events(&events)?;
        let repos = match &new.repos {
            None => caller.repos.clone(),
            Some(ids) => Some(self.checked_repos(caller, ids).await?),
        };
        let range = Range::prefix(WebhookTarget::prefix(&caller.org));
        let others = self
            .meta()
            .scan(mesa_meta::Table::Hooks, &range, TARGETS_MAX, false)
            .await?;
        if others.len() >= TARGETS_MAX {
            return Err(Error::new(
                ErrorKind::Conflict,
                "TOO_MANY_WEBHOOK_TARGETS",
                format!("an org has at most {TARGETS_MAX} webhook targets"),
            ));
        }
        let secret = crate::auth::Secret::generate(&**self.random());
        let secret = format!("whsec_{}", &secret.expose()[crate::Secret::PREFIX.len()..]);
        let id = WebhookId::from_unique(&self.unique());
        let now = self.now();
        let target = WebhookTarget {
            org: caller.org.clone(),
            name: new.name,
            url: new.url,
            events,
            repos,
            secret: self.sealed_text(PURPOSE, id.as_str(), &secret),
            created: now,
            updated: now,
            id,
        };
        let mut batch = Batch::new();
        batch.insert_record(&target);
        self.audit_webhook(&mut batch, &target, actor, "webhook_target.create");
        if !self.commit(batch).await? {
            return Err(Error::contended());
        }
        self.hooked().write().insert(caller.org.clone());
        Ok((target, secret))
    }

    fn audit_webhook(
        &self,
        batch: &mut Batch,
        target: &WebhookTarget,
        actor: &Actor,
        action: &str,
    ) {
        // Without the path and query, which often hold a secret.
        let place = target.url.split('/').take(3).collect::<Vec<_>>().join("/");
        let detail = json!({"place": place, "events": target.events, "repo_ids": target.repos});
        self.audit(
            batch,
            &target.org,
            actor,
            action,
            target.id.as_str(),
            detail,
        );
    }

    /// The targets the caller may manage, in the order they were created.
    pub async fn list_webhooks(
        &self,
        caller: &Principal,
        page: &PageRequest,
    ) -> Result<Page<WebhookTarget>, Error> {
        let keep = |target: &WebhookTarget| within(caller, target);
        let prefix = WebhookTarget::prefix(&caller.org);
        let page = self.page(&prefix, page, keep).await?;
        Ok(page.map(|r| r.record))
    }

    /// A target the caller may manage.
    pub async fn webhook(
        &self,
        caller: &Principal,
        id: &WebhookId,
    ) -> Result<Versioned<WebhookTarget>, Error> {
        self.read::<WebhookTarget>(&WebhookTarget::key_of(&caller.org, id))
            .await?
            .filter(|r| within(caller, r))
            .ok_or_else(missing)
    }

    /// Changes a target. What is queued goes to the new place.
    pub async fn update_webhook(
        &self,
        caller: &Principal,
        id: &WebhookId,
        update: &WebhookUpdate,
        actor: &Actor,
    ) -> Result<WebhookTarget, Error> {
        checked_name(update.name.as_ref().and_then(Option::as_ref))?;
        for attempt in 0..CAS_ATTEMPTS {
            let _turn = self.turn(attempt, id).await;
            let read = self.webhook(caller, id).await?;
            let mut next = read.record.clone();
            if let Some(name) = &update.name {
                next.name.clone_from(name);
            }
            if let Some(url) = &update.url {
                checked_url(url)?;
                next.url.clone_from(url);
            }
            if let Some(events) = &update.events {
                checked_events(events)?;
                next.events.clone_from(events);
            }
            match &update.repos {
                None => {}
                Some(None) if caller.repos.is_some() => {
                    return Err(Error::forbidden(
                        "a credential restricted to some repos cannot widen a webhook target",
                    ));
                }
                Some(None) => next.repos = None,
                Some(Some(ids)) => next.repos = Some(self.checked_repos(caller, ids).await?),
            }
            if next == read.record {
                return Ok(next);
            }
            next.updated = self.now();
            let mut batch = Batch::new();
            batch.replace_record(&next, read.version);
            self.audit_webhook(&mut batch, &next, actor, "webhook_target.update");
            if self.commit(batch).await? {
                return Ok(next);
            }
        }
        Err(Error::contended())
    }

    /// Deletes a target: nothing more is sent to it. Its deliveries go with it, a part at a time.
    pub async fn delete_webhook(
        &self,
        caller: &Principal,
        id: &WebhookId,
        actor: &Actor,
    ) -> Result<(), Error> {
        for attempt in 0..CAS_ATTEMPTS {
            let _turn = self.turn(attempt, id).await;
            let read = self.webhook(caller, id).await?;
            let mut batch = Batch::new();
            batch.remove_record(&read);
            self.audit_webhook(&mut batch, &read, actor, "webhook_target.delete");
            if self.commit(batch).await? {
                self.note_hooked(&caller.org).await?;
                while self.drop_deliveries(&caller.org, id, 0).await? > 0 {}
                return Ok(());
            }
        }
        Err(Error::contended())
    }

    /// The secret that signs a target's deliveries.
    pub fn webhook_secret(&self, target: &WebhookTarget) -> Result<Zeroizing<String>, Error> {
        let sealed = &target.secret.0;
        let opened = self
            .server_key()
            .open_text(PURPOSE, target.id.as_str(), sealed);
        opened.map_err(|e| Error::corrupt("a stored secret cannot be opened").with_source(e))
    }

    /// Encrypts a secret under the server key.
    pub(super) fn sealed_text(&self, purpose: &str, id: &str, text: &str) -> SealedText {
        let random = &**self.random();
        SealedText(self.server_key().seal_text(purpose, id, text, random))
    }

    /// Up to `max` events of an org that are not queued yet, oldest first.
    pub async fn unqueued_events(
        &self,
        org: &OrgId,
        max: usize,
    ) -> Result<Vec<Versioned<HookEvent>>, Error> {
        self.first_rows(&HookEvent::prefix(org), max).await
    }

    /// The targets that are told of an event.
    pub async fn webhooks_for(&self, event: &HookEvent) -> Result<Vec<WebhookTarget>, Error> {
        let all: Vec<Versioned<WebhookTarget>> = self
            .first_rows(&WebhookTarget::prefix(&event.org), TARGETS_MAX)
            .await?;
        let wanted = |t: &WebhookTarget| t.wants(event.what.name(), &event.repo);
        Ok(all.into_iter().map(|t| t.record).filter(wanted).collect())
    }

    async fn first_rows<R: Record>(
        &self,
        prefix: &mesa_meta::Key,
        max: usize,
    ) -> Result<Vec<Versioned<R>>, Error> {
        let range = Range::prefix(prefix.clone());
        let rows = self.meta().scan(R::TABLE, &range, max, false).await?;
        rows.iter()
            .map(|entry| record::read::<R>(&entry.row))
            .collect()
    }

    /// Turns an event into a delivery for each of `targets`, all of them or none; `false` if
    /// somebody else did it already.
    pub async fn queue_deliveries(
        &self,
        event: &Versioned<HookEvent>,
        body: &str,
        targets: &[WebhookTarget],
    ) -> Result<bool, Error> {
        let mut batch = Batch::new();
        batch.remove_record(event);
        for target in targets {
            let delivery = Delivery {
                org: event.org.clone(),
                target: target.id.clone(),
                id: DeliveryId::from_unique(&self.unique()),
                event_id: event_id(event),
                event: event.what.name(),
                repo: event.repo.clone(),
                body: body.to_owned(),
                state: DeliveryState::Pending,
                attempts: Vec::new(),
                next: self.now(),
                created: self.now(),
                finished: None,
                repeats: None,
            };
            queue(&mut batch, &delivery);
        }
        self.commit(batch).await
    }

    /// The targets of an org that have something in their queue.
    pub async fn queued_targets(&self, org: &OrgId) -> Result<BTreeSet<WebhookId>, Error> {
        let mut out = BTreeSet::new();
        let mut range = Range::prefix(QueuedDelivery::prefix_of_org(org));
        loop {
            let rows = self
                .meta()
                .scan(mesa_meta::Table::Hooks, &range, 1, false)
                .await?;
            let Some(row) = rows.first() else {
                return Ok(out);
            };
            let first = record::read::<QueuedDelivery>(&row.row)?.record;
            let queue = QueuedDelivery::prefix(org, &first.target);
            out.insert(first.target);
            match queue.successor_of_prefix() {
                Some(next) => range.start = next,
                None => return Ok(out),
            }
        }
    }

    /// The first delivery in a target's queue, and the target; `None` if there is neither.
    pub async fn next_delivery(
        &self,
        org: &OrgId,
        target: &WebhookId,
    ) -> Result<Option<(WebhookTarget, Versioned<Delivery>)>, Error> {
        let Some(target) = self
            .read::<WebhookTarget>(&WebhookTarget::key_of(org, target))
            .await?
        else {
            while self.drop_deliveries(org, target, 0).await? > 0 {}
            return Ok(None);
        };
        let prefix = QueuedDelivery::prefix(org, &target.id);
        let first: Vec<Versioned<QueuedDelivery>> = self.first_rows(&prefix, 1).await?;
        let Some(first) = first.first() else {
            return Ok(None);
        };
        let key = Delivery::key_of(org, &target.id, &first.id);
        match self.read::<Delivery>(&key).await? {
            Some(delivery) => Ok(Some((target.record, delivery))),
            None => Err(Error::corrupt("a queued delivery is missing")),
        }
    }

    /// Records an attempt: the delivery is done, given up, or due again at `next`.
    pub async fn record_attempt(
        &self,
        read: &Versioned<Delivery>,
        attempt: Attempt,
        state: DeliveryState,
        next: Nanos,
    ) -> Result<bool, Error> {
        let mut delivery = read.record.clone();
        delivery.attempts.push(attempt);
        delivery.state = state;
        delivery.next = next;
        let mut batch = Batch::new();
        if state != DeliveryState::Pending {
            delivery.finished = Some(self.now());
            let key = QueuedDelivery::key_of(&delivery.org, &delivery.target, &delivery.id);
            batch.delete(mesa_meta::Table::Hooks, key);
        }
        batch.replace_record(&delivery, read.version);
        self.commit(batch).await
    }

    /// A target's deliveries, newest first.
    pub async fn list_deliveries(
        &self,
        target: &WebhookTarget,
        page: &PageRequest,
    ) -> Result<Page<Delivery>, Error> {
        let prefix = Delivery::prefix(&target.org, &target.id);
        let page = self.newest_page::<Delivery>(&prefix, page).await?;
        Ok(page.map(|r| r.record))
    }

    /// A delivery of a target.
    pub async fn delivery(
        &self,
        target: &WebhookTarget,
        id: &DeliveryId,
    ) -> Result<Versioned<Delivery>, Error> {
        let key = Delivery::key_of(&target.org, &target.id, id);
        self.read(&key)
            .await?
            .ok_or_else(|| Error::not_found("DELIVERY_NOT_FOUND", "there is no such delivery"))
    }

    /// Queues the event of a delivery once more for the same target.
    pub async fn redeliver(
        &self,
        target: &WebhookTarget,
        id: &DeliveryId,
        actor: &Actor,
    ) -> Result<Delivery, Error> {
        let earlier = self.delivery(target, id).await?.record;
        let again = Delivery {
            id: DeliveryId::from_unique(&self.unique()),
            state: DeliveryState::Pending,
            attempts: Vec::new(),
            next: self.now(),
            created: self.now(),
            finished: None,
            repeats: Some(earlier.id.clone()),
            ..earlier
        };
        let mut batch = Batch::new();
        queue(&mut batch, &again);
        self.audit_webhook(&mut batch, target, actor, "webhook_target.redeliver");
        if self.commit(batch).await? {
            Ok(again)
        } else {
            Err(Error::contended())
        }
    }

    /// Deletes the oldest deliveries of a target beyond the newest `keep`; pending ones are given
    /// up without a trace. Answers how many, a bounded number of them.
    pub async fn drop_deliveries(
        &self,
        org: &OrgId,
        target: &WebhookId,
        keep: usize,
    ) -> Result<usize, Error> {
        let wanted = keep.saturating_add(DROP_STEP);
        let rows = self
            .first_rows(&Delivery::prefix(org, target), wanted)
            .await?;
        let excess = rows.len().saturating_sub(keep);
        self.drop_rows(&rows[..excess]).await
    }

    /// Deletes deliveries of a target that ended before this time, oldest first; answers how many,
    /// a bounded number of them.
    pub async fn drop_finished(
        &self,
        org: &OrgId,
        target: &WebhookId,
        before: Nanos,
    ) -> Result<usize, Error> {
        let rows = self
            .first_rows(&Delivery::prefix(org, target), DROP_STEP)
            .await?;
        let old = |d: &Versioned<Delivery>| d.finished.is_some_and(|at| at < before);
        let end = rows.iter().position(|d| !old(d)).unwrap_or(rows.len());
        self.drop_rows(&rows[..end]).await
    }

    async fn drop_rows(&self, rows: &[Versioned<Delivery>]) -> Result<usize, Error> {
        let mut batch = Batch::new();
        for delivery in rows {
            let queued = QueuedDelivery::key_of(&delivery.org, &delivery.target, &delivery.id);
            // Without conditions: an attempt recorded meanwhile goes too, and one recorded later
            // finds no row to replace.
            batch
                .delete(mesa_meta::Table::Hooks, delivery.key())
                .delete(mesa_meta::Table::Hooks, queued);
        }
        if !rows.is_empty() {
            self.commit(batch).await?;
        }
        Ok(rows.len())
    }

    /// The ids of an org's targets.
    pub async fn webhook_ids(&self, org: &OrgId) -> Result<Vec<WebhookId>, Error> {
        let all: Vec<Versioned<WebhookTarget>> = self
            .first_rows(&WebhookTarget::prefix(org), TARGETS_MAX)
            .await?;
        Ok(all.into_iter().map(|t| t.record.id).collect())
    }
}

/// The id under which an event is told, the same however often.
pub fn event_id(event: &HookEvent) -> String {
    format!("evt_{}", event.id)
}

fn queue(batch: &mut Batch, delivery: &Delivery) {
    batch
        .insert_record(delivery)
        .insert_record(&QueuedDelivery {
            org: delivery.org.clone(),
            target: delivery.target.clone(),
            id: delivery.id.clone(),
        });
}
