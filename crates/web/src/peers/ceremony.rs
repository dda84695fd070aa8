//! How what is said in a ceremony over keys travels: each office brings its words to the others, whoever of the office's processes
//! listens keeps them, and the office itself fetches them there.

use super::{Callers, Peer, PeerRoute, Peers};
use crate::routes::answered;
use async_trait::async_trait;
use hufu_kernel::{Octets, Refusal};
use hufu_offices::ceremony::post::{Courier, Mailbox};
use hufu_wire::api::ceremony::{Arrived, Delivery, Inbox, Inboxed};
use std::collections::BTreeMap;
use std::sync::Arc;

const MESSAGE: &str = "/office/v1/ceremony/message";
const INBOX: &str = "/office/v1/ceremony/inbox";
/// The longest answer of an inbox: the words of eleven parties in eight rounds, each as long as a mailbox takes.
const MAX_INBOX: usize = 4 * 1024 * 1024;

/// The letter box of an office.
#[derive(Debug)]
pub struct Post {
    /// Whose: nobody else looks into it.
    own: &'static str,
    mailbox: Arc<Mailbox>,
    /// By which roster its doors open.
    roster: Octets<32>,
    /// Who may put something in; all offices of the roster if nothing is said.
    parties: Option<Vec<&'static str>>,
}

impl Post {
    /// Of the office `own`, into which every office of the roster with this hash may put something.
    #[must_use]
    pub fn new(own: &'static str, mailbox: Arc<Mailbox>, roster: Octets<32>) -> Arc<Self> {
        Arc::new(Self { own, mailbox, roster, parties: None })
    }

    /// For one ceremony's parties alone.
    #[must_use]
    pub fn of_parties(
        own: &'static str,
        mailbox: Arc<Mailbox>,
        roster: Octets<32>,
        parties: Vec<&'static str>,
    ) -> Arc<Self> {
        Arc::new(Self { own, mailbox, roster, parties: Some(parties) })
    }
}

/// The routes.
#[must_use]
pub fn ceremony() -> &'static [PeerRoute<Post>] {
    &[
        PeerRoute {
            path: MESSAGE,
            callers: Callers::Every,
            what: "an office's word in a ceremony over keys",
            handler: |post, caller, bytes| {
                answered(&bytes, move |delivery: Delivery| async move {
                    if post.parties.as_ref().is_some_and(|parties| !parties.contains(&caller.name())) {
                        return Err(Refusal::OfficeRefused);
                    }
                    post.mailbox.put(caller.name(), delivery).map_err(|told| {
                        tracing::warn!(peer = caller.name(), told, "a ceremony's message was not taken");
                        Refusal::Malformed
                    })
                })
            },
        },
        PeerRoute {
            path: INBOX,
            callers: Callers::Every,
            what: "what came for this office, asked by itself",
            handler: |post, caller, bytes| {
                answered(&bytes, move |asked: Inbox| async move {
                    if caller.name() != post.own {
                        return Err(Refusal::OfficeRefused);
                    }
                    let parties: Vec<&str> = asked.parties.iter().map(String::as_str).collect();
                    let arrived = post.mailbox.since(&asked.ceremony, asked.round, &parties);
                    Ok(Inboxed { arrived, roster: Some(post.roster) })
                })
            },
        },
    ]
}

/// Where what comes for this office is.
#[derive(Debug)]
enum Kept {
    /// In this process, which listens.
    Here(Arc<Mailbox>),
    /// In the process that serves the office, which is asked under the office's own name.
    Serving(Arc<Peer>),
}

/// Carries a ceremony's words between offices that prove their names.
#[derive(Debug)]
pub struct PeerCourier {
    others: BTreeMap<&'static str, Arc<Peer>>,
    own: Kept,
}

impl PeerCourier {
    /// To `parties`, for an office whose words come to `mailbox` in this process.
    ///
    /// # Errors
    /// [`super::PeerError::NoAddress`].
    pub fn listening(
        peers: &Peers,
        own: &str,
        parties: &[&'static str],
        mailbox: Arc<Mailbox>,
    ) -> Result<Self, super::PeerError> {
        Ok(Self { others: others(peers, own, parties)?, own: Kept::Here(mailbox) })
    }

    /// To `parties`, for an office that is served by another process.
    ///
    /// # Errors
    /// [`super::PeerError::NoAddress`], also where the office's own address is not among the peers'.
    pub fn beside(peers: &Peers, own: &str, parties: &[&'static str]) -> Result<Self, super::PeerError> {
        let serving = peers.to(own)?.with_max_answer(MAX_INBOX);
        Ok(Self { others: others(peers, own, parties)?, own: Kept::Serving(Arc::new(serving)) })
    }

    /// Whether the process that serves this office goes by the roster with this hash. One that does not turns away whoever is new in
    /// it, so that this office would wait in vain. Nothing is said of a process that cannot be asked now.
    ///
    /// # Errors
    /// A sentence.
    pub async fn same_roster(&self, ceremony: &Octets<32>, roster: &Octets<32>) -> Result<(), String> {
        let Kept::Serving(peer) = &self.own else { return Ok(()) };
        // What others have said is of no interest here.
        let asked = Inbox { ceremony: *ceremony, round: 1, parties: Vec::new() };
        match peer.call::<_, Inboxed>(INBOX, &asked).await {
            Ok(Inboxed { roster: Some(served), .. }) if served != *roster => Err(format!(
                "the process that serves {} was started with another roster than the one that stands here now, and turns away whoever \
                 is new in it: restart it, then begin again with the same order",
                peer.office()
            )),
            _ => Ok(()),
        }
    }
}

/// Why an office's word is not there yet, and what to do about it.
fn told(peer: &Peer, refusal: Refusal) -> String {
    match refusal {
        Refusal::OfficeUnreachable => format!(
            "not reached at {}, or it does not take this office's certificate: its ceremony or service must run, started with the same \
             roster",
            peer.address()
        ),
        Refusal::OfficeRefused => {
            "it refuses this office's word: by its order this office takes no part; compare order and roster".to_owned()
        }
        Refusal::NotFound => "it knows no ceremonies: it runs an older release, to be upgraded".to_owned(),
        Refusal::Malformed | Refusal::OfficeGarbled => {
            "the two do not understand each other: compare `hufu --version` at both".to_owned()
        }
        Refusal::Busy | Refusal::TooMany => "it has too much to do, and is asked again".to_owned(),
        other => format!("it refuses with {}; `hufu explain {}` says more", other.code(), other.code()),
    }
}

fn others(
    peers: &Peers,
    own: &str,
    parties: &[&'static str],
) -> Result<BTreeMap<&'static str, Arc<Peer>>, super::PeerError> {
    let others = parties.iter().copied().filter(|office| *office != own);
    others.map(|office| Ok((office, peers.to(office)?))).collect()
}

#[async_trait]
impl Courier for PeerCourier {
    async fn bring(&self, to: &'static str, delivery: &Delivery) -> Result<(), String> {
        let peer = self.others.get(to).ok_or_else(|| format!("{to} takes no part"))?;
        peer.call::<_, ()>(MESSAGE, delivery).await.map_err(|refusal| told(peer, refusal))
    }

    async fn collect(&self, ceremony: &Octets<32>, round: u8) -> Result<Vec<Arrived>, String> {
        // What others say, who take no part, leaves the parties their room in the answer.
        let parties: Vec<&str> = self.others.keys().copied().collect();
        match &self.own {
            Kept::Here(mailbox) => Ok(mailbox.since(ceremony, round, &parties)),
            Kept::Serving(peer) => {
                let parties = parties.iter().map(|party| (*party).to_owned()).collect();
                let asked = Inbox { ceremony: *ceremony, round, parties };
                let inboxed: Inboxed = peer.call(INBOX, &asked).await.map_err(|refusal| told(peer, refusal))?;
                Ok(inboxed.arrived)
            }
        }
    }
}
