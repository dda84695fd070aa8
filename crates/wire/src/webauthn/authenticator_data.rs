//! Authenticator data (section 6.1): rpIdHash (32) ‖ flags (1) ‖ signCount (4) ‖ attested credential data if AT ‖
//! extensions if ED.

use super::{AssertionError, Expectation, Facts, MAX_PART};
use crate::cose::{self, Reader};
use crate::jose::{Alg, PublicKey};
use sha2::{Digest, Sha256};

/// The flags byte. Bits 1 and 5 are reserved for future use and not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flags(pub u8);

impl Flags {
    /// User present.
    pub const UP: u8 = 1;
    /// User verified.
    pub const UV: u8 = 1 << 2;
    /// Backup eligible.
    pub const BE: u8 = 1 << 3;
    /// Backup state.
    pub const BS: u8 = 1 << 4;
    /// Attested credential data included.
    pub const AT: u8 = 1 << 6;
    /// Extension data included.
    pub const ED: u8 = 1 << 7;

    /// Whether all bits of `mask` are set.
    #[must_use]
    pub fn has(self, mask: u8) -> bool {
        self.0 & mask == mask
    }
}

/// Parsed authenticator data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthenticatorData<'a> {
    /// SHA-256 of the RP ID.
    pub rp_id_hash: [u8; 32],
    /// The flags.
    pub flags: Flags,
    /// The signature counter.
    pub sign_count: u32,
    /// Attested credential data, present exactly if AT is set.
    pub attested: Option<Attested<'a>>,
}

/// Attested credential data (section 6.5.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attested<'a> {
    /// The authenticator model; not trusted without attestation.
    pub aaguid: [u8; 16],
    /// The credential id.
    pub credential_id: &'a [u8],
    /// The key and its algorithm; an error if it is of no kind we use.
    pub key: (PublicKey, Alg),
}

impl<'a> AuthenticatorData<'a> {
    /// Parses all of `bytes`: what the flags do not announce may not be there.
    ///
    /// # Errors
    /// [`AssertionError::AuthenticatorData`], and [`AssertionError::DeviceKey`] for a key of no kind we use.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, AssertionError> {
        const REFUSED: AssertionError = AssertionError::AuthenticatorData;
        if bytes.len() > MAX_PART {
            return Err(REFUSED);
        }
        let (rp_id_hash, rest) = bytes.split_first_chunk::<32>().ok_or(REFUSED)?;
        let (flags, rest) = rest.split_first().ok_or(REFUSED)?;
        let (sign_count, mut rest) = rest.split_first_chunk::<4>().ok_or(REFUSED)?;
        let flags = Flags(*flags);
        let attested = if flags.has(Flags::AT) {
            let (attested, after) = attested(rest)?;
            rest = after;
            Some(attested)
        } else {
            None
        };
        let mut reader = Reader::new(rest);
        if flags.has(Flags::ED) {
            let extensions = reader.whole().map_err(|_| REFUSED)?;
            Reader::new(extensions).map().map_err(|_| REFUSED)?;
        }
        reader.end().map_err(|_| REFUSED)?;
        Ok(Self { rp_id_hash: *rp_id_hash, flags, sign_count: u32::from_be_bytes(*sign_count), attested })
    }

    /// The steps on authenticator data, in the order of sections 7.1 (14 to 18) and 7.2 (15 to 19).
    ///
    /// # Errors
    /// The step that refuses.
    pub(super) fn check(&self, expectation: &Expectation<'_>) -> Result<Facts, AssertionError> {
        let flags = self.flags;
        let rp_id_hash: [u8; 32] = Sha256::digest(expectation.rp_id).into();
        let steps = [
            (self.rp_id_hash == rp_id_hash, AssertionError::RpId),
            (flags.has(Flags::UP), AssertionError::UserPresence),
            (flags.has(Flags::UV) || !expectation.require_uv, AssertionError::UserVerification),
            (flags.has(Flags::BE) || !flags.has(Flags::BS), AssertionError::BackupFlags),
        ];
        steps.into_iter().try_for_each(|(holds, refusal)| if holds { Ok(()) } else { Err(refusal) })?;
        Ok(Facts {
            user_present: flags.has(Flags::UP),
            user_verified: flags.has(Flags::UV),
            backup_eligible: flags.has(Flags::BE),
            backup_state: flags.has(Flags::BS),
            sign_count: self.sign_count,
        })
    }
}

/// aaguid (16) ‖ length (2) ‖ credential id ‖ COSE_Key, and what follows.
fn attested(bytes: &[u8]) -> Result<(Attested<'_>, &[u8]), AssertionError> {
    const REFUSED: AssertionError = AssertionError::AuthenticatorData;
    let (aaguid, rest) = bytes.split_first_chunk::<16>().ok_or(REFUSED)?;
    let (len, rest) = rest.split_first_chunk::<2>().ok_or(REFUSED)?;
    let (credential_id, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len))).ok_or(REFUSED)?;
    let mut reader = Reader::new(rest);
    let key = cose::read_key(&mut reader).map_err(|_| AssertionError::DeviceKey)?;
    Ok((Attested { aaguid: *aaguid, credential_id, key }, reader.rest()))
}
