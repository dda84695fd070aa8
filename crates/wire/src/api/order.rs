//! Orders: what two operators have to sign before an office takes part in a ceremony over keys (flows 2; docs/decisions/0016).

use super::roster::{OFFICES, fingerprint};
use super::trust::verify_ed25519;
use crate::jose::strict_json;
use hufu_kernel::{Octets, Root, Timestamp, framed};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// What is ordered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// All keys of a new trust root.
    Found,
    /// New K_A; every person's sub-keys move to them without a pseudonym changing.
    Rotate,
    /// An office that lost its keys gets a new identity, and what is jointly held from the other holders.
    Replace,
    /// As [`Kind::Replace`] for an office that still has its identity.
    Repair,
    /// The keys of before a rotation are destroyed.
    Retire,
    /// One node's rows count, where nodes that come from backups cannot settle by comparing.
    Settle,
    /// A ceremony is given up wherever it stands: what is pending of it is destroyed.
    Abandon,
}

impl Kind {
    /// The word in files and on command lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Rotate => "rotate",
            Self::Replace => "replace",
            Self::Repair => "repair",
            Self::Retire => "retire",
            Self::Settle => "settle",
            Self::Abandon => "abandon",
        }
    }

    /// Whether it concerns one office by name.
    #[must_use]
    pub fn has_subject(self) -> bool {
        matches!(self, Self::Replace | Self::Repair | Self::Settle)
    }

    /// Whether it may concern this office.
    fn may_name(self, office: &str) -> bool {
        OFFICES.contains(&office) && (self != Self::Settle || office.starts_with("node-"))
    }
}

/// Seconds that are for restarting three nodes, between the end of a rotation's order and the time from which its keys count.
pub const RESTART: i64 = 15 * 60;

/// Why an order is not followed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OrderError {
    /// Not the documented JSON.
    #[error("not JSON of the documented shape: {0}")]
    Json(String),
    /// A subject where there is none, none where there is one, or no office.
    #[error("an order to {0} that names the wrong office, or none")]
    Subject(&'static str),
    /// A rotation without the time from which it counts, or such a time in another order.
    #[error("an order to rotate has a time from which the new keys count, and no other order has one")]
    Effective,
    /// An order to give something up that does not say what, or another one that does.
    #[error("an order to abandon names the ceremony that is given up, and no other order names one")]
    GivesUp,
    /// A rotation that would count before its nodes have the new keys in memory.
    #[error(
        "the new keys would count from {0} on; nodes are restarted before that, so it must be {min} minutes or more after the time \
         until which the order is followed",
        min = RESTART / 60
    )]
    Soon(Timestamp),
    /// For another trust root or another roster.
    #[error("this order is for another {0}")]
    Elsewhere(&'static str),
    /// Its time is over.
    #[error("this order ended at {0}")]
    Over(Timestamp),
    /// A signature by somebody who is no operator.
    #[error("{0} is no operator of this deployment")]
    Stranger(String),
    /// A signature that does not verify.
    #[error("the signature of {0} does not verify")]
    Signature(String),
    /// Fewer than two operators.
    #[error("an order needs the signatures of two operators, and has {0}")]
    TooFew(usize),
    /// Two operators with one key are one operator.
    #[error("two operators have one key")]
    OneKey,
}

/// Who signs orders.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operator {
    /// The name in the deployment's plan.
    pub name: String,
    /// Ed25519.
    pub key: Octets<32>,
}

impl Operator {
    /// What people compare: ten groups of four hexadecimal digits over name and key.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&Sha256::digest(framed(&[b"hufu-v1-operator", self.name.as_bytes(), self.key.as_slice()])).into())
    }
}

/// What is ordered, of whom, until when.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// What.
    pub kind: Kind,
    /// Sandbox or production.
    pub root: Root,
    /// Under which trust root.
    pub root_id: Octets<16>,
    /// The hash of the roster that all parties must have pinned.
    pub roster: Octets<32>,
    /// The office that is replaced or repaired, or whose rows count.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<String>,
    /// From when rows move to the new keys of a rotation.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub effective: Option<Timestamp>,
    /// The ceremony that is given up.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gives_up: Option<Octets<32>>,
    /// Random: two orders alike are two ceremonies.
    pub nonce: Octets<16>,
    /// Nobody follows it afterwards.
    pub not_after: Timestamp,
}

impl Order {
    /// Whether it is an order at all.
    ///
    /// # Errors
    /// [`OrderError::Subject`], [`OrderError::Effective`], [`OrderError::GivesUp`], [`OrderError::Soon`].
    pub fn check(&self) -> Result<(), OrderError> {
        let named = self.subject.as_deref().map(|office| self.kind.may_name(office));
        if named != self.kind.has_subject().then_some(true) {
            return Err(OrderError::Subject(self.kind.name()));
        }
        if self.effective.is_some() != (self.kind == Kind::Rotate) {
            return Err(OrderError::Effective);
        }
        if self.gives_up.is_some() != (self.kind == Kind::Abandon) {
            return Err(OrderError::GivesUp);
        }
        // Whoever signs a time that passes while nodes are without the new keys would stop every sign-in.
        match self.effective {
            Some(effective) if effective < self.not_after + RESTART => Err(OrderError::Soon(effective)),
            _ => Ok(()),
        }
    }

    fn framed(&self) -> Vec<u8> {
        let effective = self.effective.map(Timestamp::to_be_bytes);
        let (nonce, not_after) = (self.nonce.as_slice(), self.not_after.to_be_bytes());
        let mut parts: Vec<&[u8]> = vec![
            self.kind.name().as_bytes(),
            self.root.name().as_bytes(),
            self.root_id.as_slice(),
            self.roster.as_slice(),
            self.subject.as_deref().unwrap_or_default().as_bytes(),
            effective.as_ref().map_or(&[], <[u8; 8]>::as_slice),
            nonce,
            &not_after,
        ];
        parts.extend(self.gives_up.as_ref().map(Octets::as_slice));
        framed(&parts)
    }

    /// The ceremony's name: SHA-256 of `"hufu-v1-ceremony" ‖ order`, the order framed field by field as they stand above.
    #[must_use]
    pub fn ceremony(&self) -> Octets<32> {
        Octets(Sha256::digest(framed(&[b"hufu-v1-ceremony", &self.framed()])).into())
    }

    /// What an operator signs: `"hufu-v1-order" ‖ operator ‖ order`.
    #[must_use]
    pub fn signing_bytes(&self, operator: &str) -> Vec<u8> {
        framed(&[b"hufu-v1-order", operator.as_bytes(), &self.framed()])
    }
}

/// An order with the operators' signatures.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedOrder {
    /// What.
    pub order: Order,
    /// Ed25519, by the operator's name.
    pub signatures: BTreeMap<String, Octets<64>>,
}

/// What an office itself knows of its trust root, that an order must say too.
#[derive(Clone, Copy, Debug)]
pub struct Here<'a> {
    /// Sandbox or production.
    pub root: Root,
    /// The trust root.
    pub root_id: &'a Octets<16>,
    /// The hash of the roster it has pinned.
    pub roster: &'a Octets<32>,
    /// The operators of its plan.
    pub operators: &'a [Operator],
}

impl SignedOrder {
    /// Reads an order.
    ///
    /// # Errors
    /// [`OrderError::Json`], or as [`Order::check`].
    pub fn parse(text: &[u8]) -> Result<Self, OrderError> {
        let order: Self = strict_json(text).map_err(|error| OrderError::Json(error.to_string()))?;
        order.order.check()?;
        Ok(order)
    }

    /// Whether an office follows it: for its own trust root and roster, in time, and signed by two different operators. A signature
    /// that does not verify refuses the order, whoever else signed it.
    ///
    /// # Errors
    /// [`OrderError`].
    pub fn check(&self, here: &Here<'_>, now: Timestamp) -> Result<(), OrderError> {
        self.order.check()?;
        if self.order.root != here.root || self.order.root_id != *here.root_id {
            return Err(OrderError::Elsewhere("trust root"));
        }
        if self.order.roster != *here.roster {
            return Err(OrderError::Elsewhere("roster"));
        }
        if now >= self.order.not_after {
            return Err(OrderError::Over(self.order.not_after));
        }
        let keys: BTreeSet<Octets<32>> = self.signers(here.operators)?;
        if self.signatures.len() < 2 {
            return Err(OrderError::TooFew(self.signatures.len()));
        }
        if keys.len() < self.signatures.len() { Err(OrderError::OneKey) } else { Ok(()) }
    }

    /// The keys of the operators that signed it.
    ///
    /// # Errors
    /// [`OrderError::Stranger`], [`OrderError::Signature`].
    pub fn signers(&self, operators: &[Operator]) -> Result<BTreeSet<Octets<32>>, OrderError> {
        self.signatures
            .iter()
            .map(|(name, signature)| {
                let known = operators.iter().find(|operator| operator.name == *name);
                let key = known.map(|operator| operator.key).ok_or_else(|| OrderError::Stranger(name.clone()))?;
                let verified = verify_ed25519(&key, &self.order.signing_bytes(name), signature);
                if verified { Ok(key) } else { Err(OrderError::Signature(name.clone())) }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::{Alg, SoftKey};
    use hufu_kernel::SeededRng;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp(1_795_000_000);

    struct Signers(Vec<(SoftKey, Operator)>);

    impl Signers {
        fn new() -> Self {
            let one = |(name, seed): (&str, u64)| {
                let key = SoftKey::generate(Alg::EdDSA, &SeededRng::new(seed)).unwrap();
                let public = Octets(*key.public().key.as_ed25519().unwrap());
                (key, Operator { name: name.to_owned(), key: public })
            };
            Self([("north", 1), ("south", 2), ("west", 3)].map(one).into())
        }

        fn operators(&self) -> Vec<Operator> {
            self.0.iter().map(|(_, operator)| operator.clone()).collect()
        }

        fn sign(&self, order: &Order, by: &[usize]) -> SignedOrder {
            let signatures = by.iter().map(|at| {
                let (key, Operator { name, .. }) = &self.0[*at];
                let signature = key.sign_deterministic(&order.signing_bytes(name));
                (name.clone(), Octets::try_from(signature.as_slice()).unwrap())
            });
            SignedOrder { order: order.clone(), signatures: signatures.collect() }
        }
    }

    fn order() -> Order {
        Order {
            kind: Kind::Rotate,
            root: Root::Production,
            root_id: Octets([1; 16]),
            roster: Octets([2; 32]),
            subject: None,
            effective: Some(NOW + 3600),
            gives_up: None,
            nonce: Octets([3; 16]),
            not_after: NOW + 60,
        }
    }

    fn followed(order: &SignedOrder, operators: &[Operator], now: Timestamp) -> Result<(), OrderError> {
        let here = Here { root: Root::Production, root_id: &Octets([1; 16]), roster: &Octets([2; 32]), operators };
        order.check(&here, now)
    }

    #[test]
    fn two_different_operators_make_an_order_and_one_does_not() {
        let signers = Signers::new();
        let operators = signers.operators();
        for by in [&[0, 1][..], &[0, 2], &[0, 1, 2]] {
            assert_eq!(followed(&signers.sign(&order(), by), &operators, NOW), Ok(()));
        }
        assert_eq!(followed(&signers.sign(&order(), &[]), &operators, NOW), Err(OrderError::TooFew(0)));
        assert_eq!(followed(&signers.sign(&order(), &[1]), &operators, NOW), Err(OrderError::TooFew(1)));
        // One key under two names is one operator.
        let mut twins = operators.clone();
        twins[1].key = twins[0].key;
        let mut twice = signers.sign(&order(), &[0]);
        let again = signers.0[0].0.sign_deterministic(&order().signing_bytes("south"));
        twice.signatures.insert("south".into(), Octets::try_from(again.as_slice()).unwrap());
        assert_eq!(followed(&twice, &twins, NOW), Err(OrderError::OneKey));
        // One operator's signature under another's name.
        let mut borrowed = signers.sign(&order(), &[0]);
        borrowed.signatures.insert("south".into(), borrowed.signatures["north"]);
        assert_eq!(followed(&borrowed, &operators, NOW), Err(OrderError::Signature("south".into())));
        let strangers = &operators[..1];
        let signed = signers.sign(&order(), &[0, 1]);
        assert_eq!(followed(&signed, strangers, NOW), Err(OrderError::Stranger("south".into())));
    }

    #[test]
    fn every_field_of_an_order_is_signed_and_names_another_ceremony() {
        let signers = Signers::new();
        let signed = signers.sign(&order(), &[0, 1]);
        let changes: [fn(&mut Order); 5] = [
            |order| order.kind = Kind::Found,
            |order| order.effective = Some(NOW + 3601),
            |order| order.subject = Some("node-1".into()),
            |order| order.nonce.0[0] ^= 1,
            |order| order.not_after = NOW + 61,
        ];
        for change in changes {
            let mut other = signed.clone();
            change(&mut other.order);
            assert_ne!(other.order.ceremony(), signed.order.ceremony());
            assert!(other.signers(&signers.operators()).is_err());
        }
        for (order, refused) in [
            (Order { root: Root::Sandbox, ..order() }, OrderError::Elsewhere("trust root")),
            (Order { root_id: Octets([9; 16]), ..order() }, OrderError::Elsewhere("trust root")),
            (Order { roster: Octets([9; 32]), ..order() }, OrderError::Elsewhere("roster")),
            (Order { not_after: NOW, ..order() }, OrderError::Over(NOW)),
            (Order { effective: None, ..order() }, OrderError::Effective),
            (Order { effective: Some(NOW - 1), ..order() }, OrderError::Soon(NOW - 1)),
            (Order { effective: Some(NOW + 60 + RESTART - 1), ..order() }, OrderError::Soon(NOW + 60 + RESTART - 1)),
            (Order { not_after: Timestamp(i64::MAX), ..order() }, OrderError::Soon(NOW + 3600)),
            (Order { kind: Kind::Retire, ..order() }, OrderError::Effective),
            (Order { kind: Kind::Abandon, effective: None, ..order() }, OrderError::GivesUp),
            (Order { gives_up: Some(Octets([4; 32])), ..order() }, OrderError::GivesUp),
            (Order { kind: Kind::Repair, ..order() }, OrderError::Subject("repair")),
            (Order { kind: Kind::Settle, ..order() }, OrderError::Subject("settle")),
            (Order { subject: Some("node-1".into()), ..order() }, OrderError::Subject("rotate")),
        ] {
            assert_eq!(followed(&signers.sign(&order, &[0, 1]), &signers.operators(), NOW), Err(refused));
        }
        assert_eq!(Order { effective: Some(NOW + 60 + RESTART), ..order() }.check(), Ok(()));
        let given_up = |of| Order { kind: Kind::Abandon, effective: None, gives_up: Some(Octets([of; 32])), ..order() };
        assert_eq!(given_up(4).check(), Ok(()));
        assert_ne!(given_up(4).signing_bytes("north"), given_up(5).signing_bytes("north"));
        let nobody = Order { kind: Kind::Repair, subject: Some("node-4".into()), effective: None, ..order() };
        assert_eq!(nobody.check(), Err(OrderError::Subject("repair")));
        let settle =
            |office: &str| Order { kind: Kind::Settle, subject: Some(office.into()), effective: None, ..order() };
        assert_eq!(settle("node-3").check(), Ok(()));
        assert_eq!(settle("uniqueness").check(), Err(OrderError::Subject("settle")));
    }

    proptest! {
        #[test]
        fn whatever_order_is_read_has_one_meaning(at in 0_usize..4096, byte: u8) {
            let signers = Signers::new();
            let signed = signers.sign(&order(), &[0, 1]);
            let mut text = serde_json::to_vec(&signed).unwrap();
            prop_assert_eq!(SignedOrder::parse(&text).unwrap(), signed.clone());
            let at = at % text.len();
            text[at] = byte;
            if let Ok(read) = SignedOrder::parse(&text) {
                prop_assert_eq!(SignedOrder::parse(&serde_json::to_vec(&read).unwrap()), Ok(read.clone()));
                prop_assert_eq!(followed(&read, &signers.operators(), NOW).is_ok(), read == signed);
            }
        }
    }
}
