//! How what is said in a ceremony gets to the others: a transport that may fail and be repeated, and the loop around it.

use super::{Ceremony, CeremonyError, Done, Step};
use async_trait::async_trait;
use hufu_kernel::Octets;
use hufu_wire::api::ceremony::Delivery;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Carries deliveries between offices that know each other: who brings one is who the transport says.
#[async_trait]
pub trait Courier: Send + Sync {
    /// Brings a delivery; told again until it succeeds.
    ///
    /// # Errors
    /// A sentence. Whatever it is, the delivery is tried again.
    async fn bring(&self, to: &'static str, delivery: &Delivery) -> Result<(), String>;

    /// What has come for this office in this ceremony since it was asked last, with who brought it.
    ///
    /// # Errors
    /// A sentence. It is asked again.
    async fn collect(&self, ceremony: &Octets<32>) -> Result<Vec<(String, Delivery)>, String>;
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For one round, until all have been heard.
    pub round: Duration,
    /// Between two tries.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { round: Duration::from_secs(600), pause: Duration::from_millis(200) }
    }
}

/// What a person who waits is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Progress {
    /// A round begins.
    Round(u8),
    /// These have not been heard.
    Waiting(Vec<&'static str>),
}

/// Drives a ceremony to its end.
///
/// # Errors
/// [`CeremonyError`]; [`CeremonyError::Silent`] names whom nothing was heard from in time.
pub async fn run(
    mut ceremony: Ceremony,
    first: Vec<(&'static str, Delivery)>,
    courier: &dyn Courier,
    patience: Patience,
    mut told: impl FnMut(Progress) + Send,
) -> Result<Done, CeremonyError> {
    let mut out: VecDeque<(&'static str, Delivery)> = first.into();
    let mut waited = Duration::ZERO;
    let mut missing = Vec::new();
    told(Progress::Round(ceremony.round()));
    loop {
        deliver(&mut out, courier).await;
        let collected = courier.collect(ceremony.id()).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "nothing could be collected");
            Vec::new()
        });
        for (from, delivery) in collected {
            match ceremony.take(&from, delivery)? {
                Step::Waiting => {}
                Step::Say(said) => {
                    out.extend(said);
                    waited = Duration::ZERO;
                    told(Progress::Round(ceremony.round()));
                }
                Step::Done(done) => return farewell(*done, out, courier, patience).await,
            }
        }
        if !out.is_empty() && waited.is_zero() {
            deliver(&mut out, courier).await;
        }
        let now = ceremony.missing();
        if now != missing {
            missing = now;
            told(Progress::Waiting(missing.clone()));
        }
        if waited >= patience.round {
            return Err(ceremony.silence());
        }
        tokio::time::sleep(patience.pause).await;
        waited += patience.pause;
    }
}

/// One try for everything that is on its way.
async fn deliver(out: &mut VecDeque<(&'static str, Delivery)>, courier: &dyn Courier) {
    for _ in 0..out.len() {
        let Some((to, delivery)) = out.pop_front() else { return };
        if let Err(error) = courier.bring(to, &delivery).await {
            tracing::debug!(to, %error, "a delivery waits");
            out.push_back((to, delivery));
        }
    }
}

/// All have confirmed, and so has this office: the others must hear it before it goes. Whom it cannot reach finds the end in
/// anybody's transcript.
async fn farewell(
    done: Done,
    mut out: VecDeque<(&'static str, Delivery)>,
    courier: &dyn Courier,
    patience: Patience,
) -> Result<Done, CeremonyError> {
    let mut waited = Duration::ZERO;
    while !out.is_empty() && waited < patience.round {
        deliver(&mut out, courier).await;
        if !out.is_empty() {
            tokio::time::sleep(patience.pause).await;
            waited += patience.pause;
        }
    }
    let unheard: Vec<&str> = out.iter().map(|(to, _)| *to).collect();
    if !unheard.is_empty() {
        tracing::warn!(offices = unheard.join(", "), "the end could not be told: give them this transcript");
    }
    Ok(done)
}

/// How many ceremonies a mailbox keeps.
const CEREMONIES: usize = 4;
/// How many deliveries of one ceremony: eleven offices, and the rounds there are.
const DELIVERIES: usize = 11 * super::engine::ROUNDS as usize;

/// Keeps what came for an office until it is collected: in the memory of whichever of the office's processes listens.
#[derive(Debug, Default)]
pub struct Mailbox {
    kept: Mutex<VecDeque<Kept>>,
}

/// What came for one ceremony.
#[derive(Debug)]
struct Kept {
    ceremony: Octets<32>,
    deliveries: BTreeMap<(u8, String), Delivery>,
}

impl Mailbox {
    /// Keeps a delivery that `from` brought, who can have but one of each round there.
    ///
    /// # Errors
    /// A sentence for one that is no ceremony's message, or when there is no room.
    pub fn put(&self, from: &str, delivery: Delivery) -> Result<(), &'static str> {
        let message: Result<hufu_wire::api::ceremony::Message, _> = serde_json::from_slice(&delivery.message.payload.0);
        let message = message.map_err(|_| "not a ceremony's message")?;
        if delivery.message.office != from || message.round > super::engine::ROUNDS {
            return Err("not a message of who brings it");
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|kept| kept.ceremony == message.ceremony).unwrap_or_else(|| {
            if kept.len() >= CEREMONIES {
                kept.pop_front();
            }
            kept.push_back(Kept { ceremony: message.ceremony, deliveries: BTreeMap::new() });
            kept.len() - 1
        });
        let deliveries = &mut kept[at].deliveries;
        if deliveries.len() >= DELIVERIES {
            return Err("no room");
        }
        deliveries.insert((message.round, from.to_owned()), delivery);
        Ok(())
    }

    /// Takes what has come for a ceremony, in the order of rounds.
    pub fn take(&self, ceremony: &Octets<32>) -> Vec<(String, Delivery)> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter_mut().find(|kept| kept.ceremony == *ceremony);
        let deliveries = found.map(|kept| std::mem::take(&mut kept.deliveries)).unwrap_or_default();
        deliveries.into_iter().map(|((_, from), delivery)| (from, delivery)).collect()
    }
}
