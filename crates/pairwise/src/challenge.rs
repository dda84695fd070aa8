//! The challenge a device signs and the context it commits to (flows 4).

use crate::Suite;
use hufu_kernel::{Timestamp, framed};
use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        pub enum $name {$(
            $(#[$vdoc])*
            #[serde(rename = $text)]
            $variant,
        )*}

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The ASCII word that is hashed and sent.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// What a device's signature is for. An assertion for one purpose is worth nothing for another.
    Label {
        /// The first device of a new row.
        Enrol = "enrol",
        /// One sign-in at one platform.
        SignIn = "sign-in",
        /// Another device joins.
        AddDevice = "add-device",
        /// A device leaves.
        RemoveDevice = "remove-device",
        /// The holder locks the certificate.
        Lock = "lock",
        /// The holder unlocks it.
        Unlock = "unlock",
        /// A new epoch: every session ends.
        EndSessions = "end-sessions",
        /// A new network number.
        ReplaceNumber = "replace-number",
        /// Everything about the holder.
        Export = "export",
        /// A dynamic QR code.
        Pass = "pass",
        /// The holder leaves.
        Leave = "leave",
        /// A guardian's act for a ward.
        Guardian = "guardian",
        /// A new device after the old ones are lost.
        Recover = "recover",
        /// An old device objects to a recovery.
        Veto = "veto",
        /// The holder's answer to an event of the row.
        Event = "event",
    }
}

words! {
    /// How a pseudonym is evaluated (design 2).
    Level {
        /// Labels other than sign-in.
        None = "",
        /// On the sector in the clear.
        Direct = "direct",
        /// On a blinded sector.
        Blind = "blind",
        /// By the holder's own proof.
        Unlinkable = "unlinkable",
    }
}

words! {
    /// What the person showed this time.
    Strength {
        /// Labels other than sign-in.
        None = "",
        /// The device alone.
        Certificate = "certificate",
        /// The device and the password.
        CertificatePassword = "certificate+password",
    }
}

/// chal = H("hufu-v1-chal" ‖ label ‖ level ‖ (sector_id or B) ‖ ctx ‖ strength ‖ t), t as 8 bytes big-endian seconds.
///
/// `subject` is the sector id in ASCII at level direct, the compressed B at level blind. For every label but sign-in,
/// level, subject and strength are empty and `ctx` is [`statement_context`].
#[must_use]
pub fn challenge<S: Suite>(
    label: Label,
    level: Level,
    subject: &[u8],
    ctx: &[u8; 32],
    strength: Strength,
    t: Timestamp,
) -> [u8; 32] {
    S::hash(&framed(&[
        b"hufu-v1-chal",
        label.as_str().as_bytes(),
        level.as_str().as_bytes(),
        subject,
        ctx,
        strength.as_str().as_bytes(),
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
    pub answers: &'a [&'a str],
    /// [`request_direct`] at level direct, empty at level blind.
    pub request: &'a [u8],
}

impl Context<'_> {
    /// ctx = H("hufu-v1-ctx" ‖ s ‖ sector_id ‖ nonce ‖ redirect_uri ‖ H(certificate) ‖ purpose ‖ answers ‖ request), the
    /// answers sorted by their bytes, without duplicates, each framed, as one part.
    #[must_use]
    pub fn hash<S: Suite>(&self) -> [u8; 32] {
        let mut answers: Vec<&[u8]> = self.answers.iter().map(|answer| answer.as_bytes()).collect();
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
