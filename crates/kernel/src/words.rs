//! Words that more than one room speaks and that no standard owns: labels, levels, strengths, answers, evaluations.

use crate::{Bytes, Octets};
use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The exact text in hashes, messages and files.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl std::str::FromStr for $name {
            type Err = ();
            fn from_str(text: &str) -> Result<Self, ()> {
                match text { $($text => Ok(Self::$variant),)* _ => Err(()) }
            }
        }
    };
}

words! {
    /// What a device assertion is for (flows 4). A signature under one label is worth nothing under another.
    Label {
        /// A new person's first device.
        Enrol = "enrol",
        /// A result for a platform.
        SignIn = "sign-in",
        /// One more device.
        AddDevice = "add-device",
        /// One device fewer.
        RemoveDevice = "remove-device",
        /// Stop all use.
        Lock = "lock",
        /// Resume use.
        Unlock = "unlock",
        /// A new epoch: platforms drop older sessions.
        EndSessions = "end-sessions",
        /// A new network number.
        ReplaceNumber = "replace-number",
        /// What we hold about you.
        Export = "export",
        /// Open the holder key's quarter of an hour: passes, copies of the certificate, reads of one's own row.
        Pass = "pass",
        /// Delete everything but the tag index.
        Leave = "leave",
        /// A guardian acting for a ward.
        Guardian = "guardian",
        /// A new device after document, face and phone.
        Recover = "recover",
        /// The old device's objection to a recovery.
        Veto = "veto",
        /// Shared signals.
        Event = "event",
    }
}

words! {
    /// Who learns where a person signs in (design 2).
    Level {
        /// The nodes see the sector, in memory, for seconds.
        Direct = "direct",
        /// The nodes see a blinded point.
        Blind = "blind",
        /// The service takes no part.
        Unlinkable = "unlinkable",
    }
}

words! {
    /// How strongly this authentication was made.
    Strength {
        /// The device's key.
        Certificate = "certificate",
        /// The device's key and the 8-digit password.
        CertificatePassword = "certificate+password",
    }
}

words! {
    /// One answer of a verification result.
    Answer {
        /// A real person, checked against the register.
        Real = "real",
        /// One person, one root.
        Unique = "unique",
        /// Not reported dead.
        Alive = "alive",
        /// 18 or older.
        AgeOver18 = "age_over_18",
        /// The age band.
        AgeBand = "age_band",
        /// A guardian consents.
        GuardianConsent = "guardian_consent",
    }
}

words! {
    /// Age bands of the rules (domain 1.2 article 4).
    AgeBand {
        /// Under 14: a guardian acts.
        Under14 = "under_14",
        /// 14 to 17: supervised.
        From14To17 = "14_to_17",
        /// 18 or older.
        Adult = "18_or_over",
    }
}

/// The trust root a store, key or certificate belongs to; written at creation, immutable (design 3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Root {
    /// Synthetic persons, dealer-made keys.
    Sandbox,
    /// The real thing.
    Production,
}

impl Root {
    /// The word in files and stores.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Production => "production",
        }
    }
}

/// A group element in its compressed form (flows 1).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Element(pub Bytes);

/// A Chaum-Pedersen proof that two pairs have the same discrete logarithm: challenge and response, big-endian or as the group's
/// standard has it, 32 bytes each.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Dleq {
    /// The challenge.
    pub c: Octets<32>,
    /// The response.
    pub s: Octets<32>,
}

/// One node's part of an evaluation, with its proof.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Partial {
    /// The key times the base.
    pub element: Element,
    /// That it is the committed key.
    pub proof: Dleq,
}

/// One node's part of a person's two evaluations of a sign-in, on one base, with one proof of both.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BothPartials {
    /// The assigned pseudonym key times the base.
    pub pseudonym: Element,
    /// The assigned epoch key times the same base.
    pub epoch: Element,
    /// That they are the committed keys, each in its place.
    pub proof: Dleq,
}
