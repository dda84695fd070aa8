//! The dealer: one party makes every office's keys. It exists in sandbox roots only (flows 2); whoever runs it could be every
//! office at once, which is why `hufu serve` refuses what it makes.

use super::key_file::{Keys, Stored, Use};
use crate::failure::Failure;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use hufu_kernel::{NodeIndex, Octets, Rng, Root, Subset, random};
use hufu_offices::front::{RESPONSE_KEY, TRANSACTION_KEY};
use hufu_offices::hpke;
use hufu_pairwise::{DealtGroup, deal_group_key, deal_tag_key};
use hufu_wire::api::roster::{Identity, Roster};
use hufu_wire::api::trust::{NodeTrust, OfficeKeys, Trust};
use hufu_wire::jose::{Alg, Jwk, PublicKey, RsaKey};
use std::collections::BTreeMap;

/// The key that is an office's identity.
const OFFICE: &str = "office";
/// The key of its TLS certificates.
const TLS: &str = "tls";

/// A fresh sandbox root: every office's keys, and the public half with empty addresses.
pub struct Dealt {
    /// By office.
    pub keys: BTreeMap<&'static str, Keys>,
    /// The public half.
    pub trust: Trust,
}

/// Deals.
///
/// # Errors
/// [`Failure::Other`] if a library refuses its own keys.
pub fn deal(rng: &dyn Rng) -> Result<Dealt, Failure> {
    deal_around(deal_group_key(rng).map_err(Failure::other)?, rng)
}

/// Deals everything but the nodes' group key, which is given.
///
/// # Errors
/// As [`deal`].
pub fn deal_around(group: DealtGroup, rng: &dyn Rng) -> Result<Dealt, Failure> {
    let tag = deal_tag_key(rng);
    let shared = SharedKeys::draw(rng);
    let mut keys = BTreeMap::new();
    let mut nodes = Vec::new();
    for index in NodeIndex::ALL {
        let (mut own, node) = node(index, rng)?;
        own.extend(shared.of(index));
        own.insert("frost-share".into(), Stored::new(Use::Share, &group.shares[index.slot()]));
        keys.insert(super::NODES[index.slot()], own);
        nodes.push(node);
        let share = Stored::new(Use::Share, tag.shares[index.slot()].expose());
        keys.insert(super::TAGGERS[index.slot()], Keys::from([("tag-share".into(), share)]));
    }
    let (registrar, uniqueness, registry, front) = (signing(rng)?, signing(rng)?, signing(rng)?, signing(rng)?);
    let trust = Trust {
        root: Root::Sandbox,
        root_id: Octets(random(rng)),
        issuer: String::new(),
        wallet_origin: String::new(),
        rp_id: String::new(),
        offices: OfficeKeys { registrar: registrar.1, uniqueness: uniqueness.1, registry: registry.1, front: front.1 },
        nodes: nodes.try_into().map_err(|_| Failure::other("three nodes"))?,
        taggers: tag.commitments,
        group_key: group.key.verifying_key,
        group_shares: group.key.verifying_shares,
    };
    let contacts = Stored::new(Use::Seal, &random::<32>(rng));
    keys.insert("registrar", Keys::from([(OFFICE.into(), registrar.0)]));
    keys.insert("uniqueness", Keys::from([(OFFICE.into(), uniqueness.0)]));
    keys.insert("registry", Keys::from([(OFFICE.into(), registry.0)]));
    let responses = RsaKey::generate(Alg::PS256).and_then(|key| key.to_pkcs8()).map_err(Failure::other)?;
    let responses = Stored::new(Use::Share, &responses);
    keys.insert("front", Keys::from([(TRANSACTION_KEY.into(), front.0), (RESPONSE_KEY.into(), responses)]));
    keys.insert("post", Keys::from([("contacts".into(), contacts)]));
    for own in keys.values_mut() {
        if !own.contains_key(OFFICE) {
            own.insert(OFFICE.into(), signing(rng)?.0);
        }
        own.insert(TLS.into(), p256()?);
    }
    Ok(Dealt { keys, trust })
}

impl Dealt {
    /// The offices' identities under this trust root.
    ///
    /// # Errors
    /// [`Failure::Other`] if a key was not dealt.
    pub fn roster(&self, root: Root, root_id: Octets<16>) -> Result<Roster, Failure> {
        let identity = |(office, keys): (&'static str, &Keys)| {
            let key = keys.get(OFFICE).and_then(Stored::public).and_then(|key| Octets::try_from(key.0.as_slice()).ok());
            let key = key.ok_or_else(|| Failure::other(format!("{office} has no identity key")))?;
            let node = NodeIndex::ALL.into_iter().find(|index| super::NODES[index.slot()] == office);
            let sealing = node.map(|index| self.trust.node(index).sealing.clone());
            Ok(Identity { office: office.to_owned(), key, sealing, wrapping_sha256: None })
        };
        let identities =
            self.keys.iter().map(|(office, keys)| identity((*office, keys))).collect::<Result<Vec<_>, Failure>>()?;
        Roster::new(root, root_id, identities).map_err(Failure::other)
    }
}

/// The keys that two nodes hold together: K_A, KP_A and the channel between them.
struct SharedKeys(Vec<(Subset, String, [u8; 32])>);

impl SharedKeys {
    fn draw(rng: &dyn Rng) -> Self {
        let names = |subset: Subset| ["k", "kp", "peer"].map(|kind| (subset, format!("{kind}-{}", subset.name())));
        Self(Subset::ALL.into_iter().flat_map(names).map(|(subset, name)| (subset, name, random(rng))).collect())
    }

    fn of(&self, index: NodeIndex) -> impl Iterator<Item = (String, Stored)> {
        let held = self.0.iter().filter(move |(subset, _, _)| subset.held_by(index));
        held.map(|(_, name, key)| (name.clone(), Stored::new(Use::Hmac, key)))
    }
}

impl Drop for SharedKeys {
    fn drop(&mut self) {
        for (_, _, key) in &mut self.0 {
            zeroize::Zeroize::zeroize(key);
        }
    }
}

/// What one node alone holds.
fn node(index: NodeIndex, rng: &dyn Rng) -> Result<(Keys, NodeTrust), Failure> {
    let (office, signing_key) = signing(rng)?;
    let (private, sealing) = hpke::generate(rng);
    let es256 = p256()?;
    let point = es256.public().and_then(|point| point.0.try_into().ok());
    let point = point.ok_or_else(|| Failure::other(format!("the ES256 key of node {index} has no public half")))?;
    let es256_public = named(PublicKey::p256(point).map_err(Failure::other)?, Alg::ES256);
    let rs256 = RsaKey::generate(Alg::RS256).map_err(Failure::other)?;
    let rs256_public = named(rs256.public().key.clone(), Alg::RS256);
    let rs256 = rs256.to_pkcs8().map_err(Failure::other)?;
    let keys = Keys::from([
        (OFFICE.into(), office),
        ("hpke".into(), Stored::new(Use::Share, &private)),
        ("rows".into(), Stored::new(Use::Seal, &random::<32>(rng))),
        ("index".into(), Stored::new(Use::Hmac, &random::<32>(rng))),
        ("es256".into(), es256),
        (super::RS256.into(), Stored::new(Use::Share, &rs256)),
    ]);
    Ok((keys, NodeTrust { signing: signing_key, sealing, es256: es256_public, rs256: Some(rs256_public) }))
}

fn p256() -> Result<Stored, Failure> {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
        .map_err(|_| Failure::other("no P-256 key could be made"))?;
    Ok(Stored::new(Use::Es256, pkcs8.as_ref()))
}

fn named(key: PublicKey, alg: Alg) -> Jwk {
    let mut jwk = Jwk::bare(key);
    jwk.kid = Some(jwk.thumbprint());
    jwk.alg = Some(alg);
    jwk
}

fn signing(rng: &dyn Rng) -> Result<(Stored, Octets<32>), Failure> {
    let stored = Stored::new(Use::Ed25519, &random::<32>(rng));
    let public = stored.public().and_then(|public| Octets::try_from(public.0.as_slice()).ok());
    Ok((stored, public.ok_or_else(|| Failure::other("an Ed25519 seed has no public half"))?))
}
