//! A look over the whole store: at the start, and again while a read has found damage.
//!
//! A small store is looked over before the first request, and a damaged one is refused. A large one is looked over
//! while it serves, since a start must not wait for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::store::{Store, StoreError, StoreReport};

/// How long a start waits for the result.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long after one look the next may begin.
const REPEAT_AFTER: Duration = Duration::from_secs(2);

/// Looks that are taken one after the other.
#[derive(Debug)]
pub struct Survey {
    store: Arc<dyn Store>,
    running: Option<JoinHandle<Result<StoreReport, StoreError>>>,
    ended_at: Option<Instant>,
}

impl Survey {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, running: None, ended_at: None }
    }

    /// Begins to look a store over, and waits a moment for the result.
    ///
    /// # Errors
    /// When the store is damaged or cannot be read.
    pub async fn begin(store: Arc<dyn Store>) -> Result<Self, StoreError> {
        let mut survey = Self::new(store);
        survey.start();
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(outcome) = survey.poll(false).await {
                return outcome.map(|()| survey);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(survey)
    }

    /// The result of the look under way once it has ended; begins another one when there `is_doubt`.
    pub(super) async fn poll(&mut self, is_doubt: bool) -> Option<Result<(), StoreError>> {
        if let Some(ended) = self.running.take_if(|running| running.is_finished()) {
            self.ended_at = Some(Instant::now());
            let report = ended.await.unwrap_or_else(|error| Err(StoreError::Io(error.to_string())));
            return Some(report.and_then(verdict));
        }
        let is_due = self.ended_at.is_none_or(|ended_at| ended_at.elapsed() >= REPEAT_AFTER);
        if is_doubt && is_due && self.running.is_none() {
            self.start();
        }
        None
    }

    pub(super) fn start(&mut self) {
        let store = Arc::clone(&self.store);
        self.running = Some(tokio::spawn(async move { store.check().await }));
    }
}

fn verdict(report: StoreReport) -> Result<(), StoreError> {
    match report.problems.into_iter().next() {
        None => Ok(()),
        Some(problem) => Err(StoreError::Corrupt(problem)),
    }
}
