//! Sealed subject handles (flows 9, decision 0026): made at a sign-in, kept by the platform alone, opened here in memory when the platform
//! presents them. Nothing of it is stored or logged: which person it is stands in the half, and which platform in the question.

use super::gate::Certified;
use super::{Node, Row};
use crate::keys::{open_under, seal_under};
use crate::ports::SubjectHandles;
use async_trait::async_trait;
use aws_lc_rs::hmac;
use hufu_domain::holder::{Holder, Status};
use hufu_kernel::{Bytes, Epoch, Handle, Key, KeyStore, Octets, Refusal, Sealed, Timestamp, framed, random};
use hufu_store::Versioned;
use hufu_wire::api::handles::{AskPerson, AskStandings, MAX_ASKED, PersonStanding, Standings};
use hufu_wire::api::platform::PlatformCertificate;
use hufu_wire::subject_handle::{HALF, HANDLE_SECONDS, HandleHalf, HandleUse};
use std::sync::Arc;
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const SALT: usize = 16;
/// Version, handle, epoch, uses, end.
const CONTENT: usize = 1 + 16 + 16 + 1 + 8;

/// What a half says to the node that made it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Content {
    handle: Handle,
    epoch: Epoch,
    uses: u8,
    exp: Timestamp,
}

impl Content {
    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let (uses, exp) = ([self.uses], self.exp.to_be_bytes());
        Zeroizing::new([[VERSION].as_slice(), self.handle.as_slice(), self.epoch.as_slice(), &uses, &exp].concat())
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; CONTENT] = bytes.try_into().ok()?;
        let (version, rest) = bytes.split_first()?;
        let (handle, rest) = rest.split_first_chunk::<16>()?;
        let (epoch, rest) = rest.split_first_chunk::<16>()?;
        let (uses, exp) = rest.split_first()?;
        let exp = Timestamp(i64::from_be_bytes(exp.try_into().ok()?));
        (*version == VERSION).then(|| Self { handle: (*handle).into(), epoch: (*epoch).into(), uses: *uses, exp })
    }
}

/// What the keys of halves and the digests follow from: derived from `node/index` once, at the start. Each of them would else be a call of
/// the token, where keys are in one.
pub(super) struct HandleKey(hmac::Key);

impl HandleKey {
    pub(super) fn of(keys: &dyn KeyStore) -> Result<Self, Refusal> {
        let key = keys.hmac("index", &framed(&[b"hufu-v1-handles"])).map_err(|error| crate::broken(&error))?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, Zeroizing::new(key.0).as_slice())))
    }

    fn code(&self, parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
        let mut code = Zeroizing::new([0; 32]);
        code.copy_from_slice(hmac::sign(&self.0, &framed(parts)).as_ref());
        code
    }
}

/// An opened half: whose it is, as the row stands now.
pub(super) struct Opened {
    /// The row, active or locked.
    pub found: Versioned<Row>,
    /// The row's epoch when the half was made.
    pub epoch: Epoch,
    /// The half ends.
    pub exp: Timestamp,
}

impl Node {
    /// This node's half for a sign-in at a platform that registered for one.
    pub(super) fn make_half(
        &self,
        row: &Row,
        certificate: &PlatformCertificate,
        iat: Timestamp,
    ) -> Result<Option<HandleHalf>, Refusal> {
        let uses = HandleUse::set(&certificate.registration.subject_handle);
        if uses == 0 {
            return Ok(None);
        }
        let content = Content { handle: row.handle, epoch: row.holder.epoch, uses, exp: iat + HANDLE_SECONDS };
        let salt: [u8; SALT] = random(self.rng.as_ref());
        let (key, aad) = (self.half_key(&salt), self.half_aad(&certificate.client_id));
        let sealed = seal_under(&key, &aad, &content.encode(), self.rng.as_ref());
        let sealed = sealed.map_err(|error| crate::broken(&error))?;
        let half = [salt.as_slice(), sealed.0.0.as_slice()].concat();
        HandleHalf::try_from(half.as_slice()).map(Some).map_err(|_| crate::broken(&"a half of another length"))
    }

    /// A key for every half: one key with random nonces would reach GCM's limit of 2^32 within a month.
    fn half_key(&self, salt: &[u8]) -> Zeroizing<[u8; 32]> {
        self.handle_key.code(&[b"hufu-v1-handle-key", salt])
    }

    fn half_aad(&self, client_id: &str) -> Vec<u8> {
        framed(&[b"hufu-v1-handle", &[self.index.get()], client_id.as_bytes()])
    }

    /// Whose half this is. `None` is one answer for everything that is wrong with it: not made here, for another platform or another use,
    /// too old, or about somebody who left.
    ///
    /// # Errors
    /// The store's and the key store's; [`Refusal::NodesDisagree`] while this node does not know that its rows are the ones that count.
    pub(super) async fn open_half(
        &self,
        client_id: &str,
        wanted: HandleUse,
        half: &HandleHalf,
    ) -> Result<Option<Opened>, Refusal> {
        self.settled().await?;
        let (salt, sealed) = half.as_slice().split_at(SALT);
        let sealed = Sealed(Bytes(sealed.to_vec()));
        let opened = open_under(&self.half_key(salt), &self.half_aad(client_id), &sealed);
        let content = opened.ok().and_then(|bytes| Content::decode(&bytes));
        let now = self.clock.now();
        let Some(content) = content.filter(|content| now < content.exp && content.uses & wanted.bit() != 0) else {
            return Ok(None);
        };
        let found = self.store.get::<Row>(&Key::own(content.handle.as_slice())).await?;
        let lives =
            |found: &Versioned<Row>| matches!(found.record.holder.status, Status::Active | Status::Locked { .. });
        Ok(found.filter(lives).map(|found| Opened { found, epoch: content.epoch, exp: content.exp }))
    }

    /// The platform in whose name the front asks, by the registry's word and not by the front's.
    pub(super) fn asked_for(&self, certificate: &str, wanted: HandleUse) -> Result<Arc<Certified>, Refusal> {
        let certified = self.gate.certificate(certificate)?;
        let certificate = &certified.certificate;
        if certificate.root != self.trust.root {
            return Err(Refusal::WrongRoot);
        }
        if self.clock.now() >= certificate.exp {
            return Err(Refusal::PlatformUnknown);
        }
        if certificate.registration.may(wanted) { Ok(certified) } else { Err(Refusal::OverAsking) }
    }

    async fn standing_of(
        &self,
        client_id: &str,
        wanted: HandleUse,
        half: &HandleHalf,
    ) -> Result<Option<PersonStanding>, Refusal> {
        let Some(opened) = self.open_half(client_id, wanted, half).await? else { return Ok(None) };
        let Row { handle, holder, .. } = &opened.found.record;
        let same_epoch = holder.epoch == opened.epoch;
        // Of a person whose sessions ended the platform learns that, and nothing of what they do afterwards.
        let said = if same_epoch { credentials(holder, self.clock.now()) } else { Vec::new() };
        let digest =
            self.handle_key.code(&[b"hufu-v1-person-credentials", client_id.as_bytes(), handle.as_slice(), &said]);
        Ok(Some(PersonStanding {
            active: same_epoch && holder.usable().is_ok(),
            same_epoch,
            credentials: Octets(*digest),
            exp: opened.exp,
        }))
    }
}

/// The devices that may act, and the password. A device that recovery brought counts once it may act.
fn credentials(holder: &Holder, now: Timestamp) -> Vec<u8> {
    let acting = holder.devices.iter().filter(|device| !device.waits(now));
    let mut parts: Vec<&[u8]> = acting.map(|device| device.credential.as_slice()).collect();
    let password = holder.password.as_ref().map(hufu_wire::api::enrolment::PasswordRecord::digest);
    parts.extend(password.as_ref().map(Octets::as_slice));
    framed(&parts)
}

#[async_trait]
impl SubjectHandles for Node {
    async fn standings(&self, ask: &AskStandings) -> Result<Standings, Refusal> {
        if ask.halves.len() > MAX_ASKED {
            return Err(Refusal::Malformed);
        }
        let certified = self.asked_for(&ask.certificate, ask.wanted)?;
        let client_id = &certified.certificate.client_id;
        let mut standings = Vec::with_capacity(ask.halves.len());
        for half in &ask.halves {
            standings.push(self.standing_of(client_id, ask.wanted, half).await?);
        }
        Ok(Standings { standings })
    }

    async fn ask_person(&self, ask: &AskPerson) -> Result<bool, Refusal> {
        self.ask_person_once(ask).await
    }
}

const _: () = assert!(SALT + 12 + CONTENT + 16 == HALF);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_content_is_of_one_length_and_reads_back(handle: [u8; 16], epoch: [u8; 16], uses: u8, exp: i64) {
            let content = Content { handle: handle.into(), epoch: epoch.into(), uses, exp: Timestamp(exp) };
            let bytes = content.encode();
            prop_assert_eq!(bytes.len(), CONTENT);
            prop_assert!(Content::decode(&bytes) == Some(content));
            prop_assert!(Content::decode(&bytes[1..]).is_none());
        }
    }

    #[test]
    fn another_version_is_not_read() {
        let content = Content { handle: Handle::default(), epoch: Epoch::default(), uses: 1, exp: Timestamp(5) };
        let mut bytes = content.encode();
        bytes[0] = 2;
        assert!(Content::decode(&bytes).is_none());
    }
}
