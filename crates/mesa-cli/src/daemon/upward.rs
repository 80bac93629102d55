//! The worker's way to whoever supervises it. Supervisors may be replaced.

use std::path::Path;

use parking_lot::Mutex;

use super::{
    frame::{Kind, Link},
    service::Service,
};
use crate::error::{CliError, CliResult, Exit};

/// The link to the supervisor there is, if there is to be one.
pub struct Upward(Mutex<Option<Link>>);

impl Upward {
    /// `None`: in the foreground, nobody supervises.
    pub fn new(link: Option<Link>) -> Self {
        Self(Mutex::new(link))
    }

    /// Whether somebody would start another worker; `None` in the foreground.
    pub fn is_supervised(&self) -> Option<bool> {
        self.0.lock().as_ref().map(Link::is_alive)
    }

    /// Without a supervisor nothing happens.
    pub fn send(&self, kind: Kind, payload: &[u8]) {
        if let Some(link) = &*self.0.lock() {
            let _gone = link.send(kind, payload, None);
        }
    }

    /// Goes over to the supervisor that listens at `path`, unless the present one lives.
    pub fn join(&self, path: &Path, service: &Service) -> CliResult {
        match self.is_supervised() {
            Some(false) => {}
            Some(true) => return Err(CliError::new(Exit::Conflict, "it has a supervisor")),
            None => return Err(CliError::new(Exit::Conflict, "it runs in the foreground")),
        }
        let failed = |e: std::io::Error| CliError::io("cannot reach the supervisor", &e);
        let link = Link::connect(path).map_err(failed)?;
        let plan = serde_json::to_vec(&service.plan())
            .map_err(|e| CliError::failure("cannot write the plan").caused_by(&e))?;
        let parts = service.parts()?;
        let device = std::os::fd::AsFd::as_fd(&parts.device);
        link.send(Kind::Plan, &plan, None)
            .and_then(|()| link.send(Kind::Parts, &parts.state.to_bytes(), Some(device)))
            .and_then(|()| link.send(Kind::Ready, &[], None))
            .map_err(failed)?;
        *self.0.lock() = Some(link);
        tracing::info!("another supervisor");
        Ok(())
    }
}
