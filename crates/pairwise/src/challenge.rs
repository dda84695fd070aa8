//! The challenge a device signs and the context it commits to (flows 4).

use crate::Suite;
use hufu_kernel::{Answer, Label, Level, Strength, Timestamp, framed};

/// chal = H("hufu-v1-chal" ‖ label ‖ level ‖ (sector_id or B) ‖ ctx ‖ strength ‖ t), t as 8 bytes big-endian seconds.
///
/// `subject` is the sector id in ASCII at level direct, the compressed B at level blind. For every label but sign-in,
/// level and strength are `None`, subject is empty, and `ctx` is [`statement_context`].
#[must_use]
pub fn challenge<S: Suite>(
    label: Label,
    level: Option<Level>,
    subject: &[u8],
    ctx: &[u8; 32],
    strength: Option<Strength>,
    t: Timestamp,
) -> [u8; 32] {
    S::hash(&framed(&[
        b"hufu-v1-chal",
        label.as_str().as_bytes(),
        level.map_or("", Level::as_str).as_bytes(),
        subject,
        ctx,
        strength.map_or("", Strength::as_str).as_bytes(),
        &t.to_be_bytes(),
    ]))
}

/// The parts of ctx: what a sign-in is for. The platform recomputes it from its own data.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// 32 random bytes of the wallet; without them ctx would be a searchable hash of a platform's data.
    pub s: &'a [u8; 32],
    /// The platform's sector.
    pub sector_id: &'a str,
    /// The platform's nonce.
    pub nonce: &'a str,
    /// Where the answer goes.
    pub redirect_uri: &'a str,
    /// H(platform certificate), over the certificate's bytes as the registry signed and published them.
    pub certificate_hash: &'a [u8; 32],
    /// The purpose the person consented to.
    pub purpose: &'a str,
    /// The answers asked for, in any order: they are hashed as a set.
    pub answers: &'a [Answer],
    /// [`request_direct`] at level direct, empty at level blind.
    pub request: &'a [u8],
}

impl Context<'_> {
    /// ctx = H("hufu-v1-ctx" ‖ s ‖ sector_id ‖ nonce ‖ redirect_uri ‖ H(certificate) ‖ purpose ‖ answers ‖ request), the
    /// answers sorted by their bytes, without duplicates, each framed, as one part.
    #[must_use]
    pub fn hash<S: Suite>(&self) -> [u8; 32] {
        let mut answers: Vec<&[u8]> = self.answers.iter().map(|answer| answer.as_str().as_bytes()).collect();
        answers.sort_unstable();
        answers.dedup();
        S::hash(&framed(&[
            b"hufu-v1-ctx",
            self.s,
            self.sector_id.as_bytes(),
            self.nonce.as_bytes(),
            self.redirect_uri.as_bytes(),
            self.certificate_hash,
            self.purpose.as_bytes(),
            &framed(&answers),
            self.request,
        ]))
    }
}

/// `request` at level direct: H(client_id ‖ code_challenge ‖ dpop_jkt ‖ tx). `code_challenge` and `dpop_jkt` are the
/// base64url texts of the OAuth messages (empty where a profile has none), `tx` the transaction's bytes, decoded.
#[must_use]
pub fn request_direct<S: Suite>(client_id: &str, code_challenge: &str, dpop_jkt: &str, tx: &[u8]) -> [u8; 32] {
    S::hash(&framed(&[client_id.as_bytes(), code_challenge.as_bytes(), dpop_jkt.as_bytes(), tx]))
}

/// ctx of every label but sign-in: H("hufu-v1-statement" ‖ statement), the statement being the bytes the device acts on.
#[must_use]
pub fn statement_context<S: Suite>(statement: &[u8]) -> [u8; 32] {
    S::hash(&framed(&[b"hufu-v1-statement", statement]))
}
