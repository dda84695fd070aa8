//! How what is said in a ceremony gets to the others: a transport that may fail and be repeated, and the loop around it.

use super::{Ceremony, CeremonyError, Deliveries, Done, Step, Unheard};
use async_trait::async_trait;
use hufu_kernel::{Clock, Octets};
use hufu_wire::api::ceremony::{Arrived, Delivery};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Carries deliveries between offices that know each other: who brings one is who the transport says.
#[async_trait]
pub trait Courier: Send + Sync {
    /// Brings a delivery; told again until it succeeds.
    ///
    /// # Errors
    /// A sentence. Whatever it is, the delivery is tried again.
    async fn bring(&self, to: &'static str, delivery: &Delivery) -> Result<(), String>;

    /// What has come for this office in this ceremony from round `round` on, with who brought it; what was told before may be
    /// told again.
    ///
    /// # Errors
    /// A sentence. It is asked again.
    async fn collect(&self, ceremony: &Octets<32>, round: u8) -> Result<Vec<Arrived>, String>;
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For one round, until all have been heard.
    pub round: Duration,
    /// For telling the others at the end, some of whom may be gone already.
    pub farewell: Duration,
    /// Between two tries.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { round: Duration::from_secs(600), farewell: Duration::from_secs(20), pause: Duration::from_millis(100) }
    }
}

/// What a person who waits is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Progress {
    /// A round begins.
    Round(u8),
    /// These have not been heard, and this is known of why.
    Waiting(Vec<Unheard>),
}

/// Drives a ceremony to its end.
///
/// # Errors
/// [`CeremonyError`]; [`CeremonyError::Silent`] names whom nothing was heard from in time.
pub async fn run(
    mut ceremony: Ceremony,
    first: Deliveries,
    courier: &dyn Courier,
    clock: &dyn Clock,
    patience: Patience,
    mut told: impl FnMut(Progress) + Send,
) -> Result<Done, CeremonyError> {
    let mut out: VecDeque<(&'static str, Delivery)> = first.into();
    let mut began = Instant::now();
    let (mut missing, mut errors) = (Vec::new(), Errors::new());
    told(Progress::Round(ceremony.round()));
    loop {
        deliver(&mut out, courier, &mut errors).await;
        let collected = courier.collect(ceremony.id(), ceremony.round()).await;
        let asking = collected.as_ref().err().map(|error| format!("this office cannot ask itself what came: {error}"));
        let collected = collected.unwrap_or_else(|error| {
            tracing::debug!(%error, "nothing could be collected");
            Vec::new()
        });
        let mut news = false;
        for Arrived { from, delivery } in collected {
            // Whoever takes no part has no say, not even that the ceremony ends.
            if !ceremony.parties().contains(&from.as_str()) {
                continue;
            }
            match ceremony.take(&from, delivery, clock.now())? {
                Step::Waiting => {}
                Step::Say(said) => {
                    out.extend(said);
                    (began, news) = (Instant::now(), true);
                    told(Progress::Round(ceremony.round()));
                }
                Step::Done(done) => return farewell(*done, out, courier, patience).await,
            }
        }
        if news {
            continue;
        }
        let known = known(&ceremony, &errors, asking.as_ref());
        let now = ceremony.unheard(&known);
        if now != missing {
            missing = now;
            told(Progress::Waiting(missing.clone()));
        }
        if began.elapsed() >= patience.round {
            return Err(ceremony.silence(&known));
        }
        tokio::time::sleep(patience.pause).await;
    }
}

/// What the transport said last of each office.
type Errors = BTreeMap<&'static str, String>;

/// Why each office is not heard: it could not be reached, or this one does not learn what came.
fn known(ceremony: &Ceremony, errors: &Errors, asking: Option<&String>) -> Errors {
    let why = |office| Some((office, errors.get(office).or(asking)?.clone()));
    ceremony.missing().into_iter().filter_map(why).collect()
}

/// One try for everything that is on its way.
async fn deliver(out: &mut VecDeque<(&'static str, Delivery)>, courier: &dyn Courier, errors: &mut Errors) {
    for _ in 0..out.len() {
        let Some((to, delivery)) = out.pop_front() else { return };
        if let Err(error) = courier.bring(to, &delivery).await {
            tracing::debug!(to, %error, "a delivery waits");
            errors.insert(to, error);
            out.push_back((to, delivery));
        } else {
            errors.remove(to);
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
    let (began, mut errors) = (Instant::now(), Errors::new());
    deliver(&mut out, courier, &mut errors).await;
    while !out.is_empty() && began.elapsed() < patience.farewell {
        tokio::time::sleep(patience.pause).await;
        deliver(&mut out, courier, &mut errors).await;
    }
    let unheard: Vec<&str> = out.iter().map(|(to, _)| *to).collect();
    if !unheard.is_empty() {
        tracing::warn!(offices = unheard.join(", "), "the end could not be told: give them this transcript");
    }
    Ok(done)
}

/// How many ceremonies of one sender a mailbox keeps.
const CEREMONIES: usize = 2;

/// The longest word that is kept, its part for this office included, in bytes.
const LONGEST: usize = 32 * 1024;

/// Keeps what came for an office: in the memory of whichever of the office's processes listens. Each sender has room of its own, so
/// that nobody pushes out what another said.
#[derive(Debug, Default)]
pub struct Mailbox {
    kept: Mutex<BTreeMap<String, VecDeque<Kept>>>,
}

/// What one sender said in one ceremony, by round.
#[derive(Debug)]
struct Kept {
    ceremony: Octets<32>,
    deliveries: BTreeMap<u8, Delivery>,
}

impl Mailbox {
    /// Keeps a delivery that `from` brought: the first of each round, since who says two things is not heard twice.
    ///
    /// # Errors
    /// A sentence for one that is no ceremony's message, another office's, or longer than any office's word is.
    pub fn put(&self, from: &str, delivery: Delivery) -> Result<(), &'static str> {
        if serde_json::to_vec(&delivery).map_or(usize::MAX, |text| text.len()) > LONGEST {
            return Err("longer than a word in a ceremony is");
        }
        let message: Result<hufu_wire::api::ceremony::Message, _> = serde_json::from_slice(&delivery.message.payload.0);
        let message = message.map_err(|_| "not a ceremony's message")?;
        if delivery.message.office != from || message.round > super::engine::ROUNDS {
            return Err("not a message of who brings it");
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let of_sender = kept.entry(from.to_owned()).or_default();
        let at = of_sender.iter().position(|kept| kept.ceremony == message.ceremony).unwrap_or_else(|| {
            if of_sender.len() >= CEREMONIES {
                of_sender.pop_front();
            }
            of_sender.push_back(Kept { ceremony: message.ceremony, deliveries: BTreeMap::new() });
            of_sender.len() - 1
        });
        of_sender[at].deliveries.entry(message.round).or_insert(delivery);
        Ok(())
    }

    /// What has come from `parties` in a ceremony from its round `round` on. It stays: an answer that is lost is asked for again.
    #[must_use]
    pub fn since(&self, ceremony: &Octets<32>, round: u8, parties: &[&str]) -> Vec<Arrived> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = Vec::new();
        for (from, of_sender) in kept.iter().filter(|(from, _)| parties.contains(&from.as_str())) {
            for kept in of_sender.iter().filter(|kept| kept.ceremony == *ceremony) {
                let deliveries = kept.deliveries.range(round..).map(|(_, delivery)| delivery.clone());
                found.extend(deliveries.map(|delivery| Arrived { from: from.clone(), delivery }));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_kernel::Bytes;
    use hufu_wire::api::ceremony::{Message, Said};
    use hufu_wire::api::{Signed, SignedError};

    fn delivery(from: &str, ceremony: u8, round: u8, heard: u8) -> Delivery {
        let message = Message {
            ceremony: Octets([ceremony; 32]),
            round,
            heard: Octets([heard; 32]),
            said: Said::Parts,
            sealed: BTreeMap::new(),
        };
        let message = Signed::make(from, &message, |_| Ok::<_, SignedError>(Octets([0; 64]))).unwrap();
        Delivery { message, part: None }
    }

    const BOTH: [&str; 2] = ["node-1", "node-2"];

    #[test]
    fn what_came_is_told_again_from_a_round_on_and_nobody_pushes_out_another() {
        let mailbox = Mailbox::default();
        for round in 1..=3 {
            mailbox.put("node-1", delivery("node-1", 7, round, 0)).unwrap();
        }
        for ceremony in 0..50 {
            mailbox.put("node-2", delivery("node-2", 100 + ceremony, 1, 0)).unwrap();
        }
        let told = mailbox.since(&Octets([7; 32]), 2, &BOTH);
        assert_eq!((told.len(), mailbox.since(&Octets([7; 32]), 1, &BOTH).len()), (2, 3));
        assert_eq!(mailbox.since(&Octets([7; 32]), 2, &BOTH), told);
        // The first word counts.
        mailbox.put("node-1", delivery("node-1", 7, 2, 1)).unwrap();
        assert_eq!(mailbox.since(&Octets([7; 32]), 2, &BOTH), told);
        assert_eq!(mailbox.since(&Octets([100; 32]), 1, &BOTH).len(), 0, "a sender has room for two ceremonies");
        assert!(mailbox.put("node-2", delivery("node-1", 7, 1, 0)).is_err());
        assert!(mailbox.put("node-1", delivery("node-1", 7, 200, 0)).is_err());
        let mut none = delivery("node-1", 7, 1, 0);
        none.message.payload = Bytes(b"{}".to_vec());
        assert!(mailbox.put("node-1", none).is_err());
    }

    #[test]
    fn strangers_words_are_left_out_and_nobodys_is_longer_than_a_word_is() {
        let mailbox = Mailbox::default();
        mailbox.put("node-1", delivery("node-1", 7, 1, 0)).unwrap();
        let long = |from: &str, round, bytes: usize| {
            let mut delivery = delivery(from, 7, round, 0);
            // As JSON may have it at its end.
            delivery.message.payload.0.extend(vec![b' '; bytes]);
            delivery
        };
        for stranger in ["post", "front"] {
            for round in 1..=super::super::engine::ROUNDS {
                mailbox.put(stranger, long(stranger, round, 16 * 1024)).unwrap();
                assert!(mailbox.put(stranger, long(stranger, round, 256 * 1024)).is_err());
            }
        }
        let told = mailbox.since(&Octets([7; 32]), 1, &BOTH);
        assert_eq!(told.iter().map(|told| told.from.as_str()).collect::<Vec<_>>(), ["node-1"]);
        // The control: they are there for who takes them for parties.
        assert_eq!(mailbox.since(&Octets([7; 32]), 1, &["post", "front"]).len(), 16);
    }
}
