//! The keys an office draws by itself, and how keys come to count.

use super::engine::Context;
use super::{CeremonyError, Role};
use hufu_kernel::{KeyKeeper, KeyUse, Octets, PENDING, Root};
use hufu_wire::api::ceremony::Open;
use hufu_wire::jose::{Alg, Jwk, PublicKey, RsaKey};

/// The keys of an office's identity, which it draws before everything else: without them no other office speaks to it. A node's `hpke`
/// is a share, drawn by [`crate::hpke::generate`].
#[must_use]
pub fn identity_keys(office: &str) -> Vec<(&'static str, KeyUse)> {
    let mut keys = vec![("office", KeyUse::Ed25519), ("tls", KeyUse::Es256)];
    if matches!(Role::of(office), Role::Node(_)) {
        keys.push(("hpke", KeyUse::Share));
    }
    keys
}

/// The keys an office draws by itself in a ceremony.
fn alone(office: &str) -> &'static [(&'static str, KeyUse)] {
    match Role::of(office) {
        Role::Node(_) => &[("rows", KeyUse::Seal), ("index", KeyUse::Hmac), ("es256", KeyUse::Es256)],
        Role::Other if office == "front" => &[(crate::front::TRANSACTION_KEY, KeyUse::Ed25519)],
        Role::Other if office == "post" => &[("contacts", KeyUse::Seal)],
        Role::Tagger(_) | Role::Other => &[],
    }
}

/// The name of a key until everybody has confirmed.
pub(super) fn pending(name: &str) -> String {
    format!("{PENDING}{name}")
}

/// Destroys what an unfinished ceremony has left.
pub(super) fn forget_pending(keys: &dyn KeyKeeper) -> Result<(), CeremonyError> {
    for name in keys.names()?.iter().filter(|name| name.starts_with(PENDING)) {
        keys.destroy(name)?;
    }
    Ok(())
}

/// Gives pending keys the names under which they are used.
pub(super) fn settle(keys: &dyn KeyKeeper) -> Result<Vec<String>, CeremonyError> {
    let names = keys.names()?;
    let pairs: Vec<(String, String)> =
        names.iter().filter_map(|name| Some((name.clone(), name.strip_prefix(PENDING)?.to_owned()))).collect();
    // A share that a repair found to be another one.
    for (_, name) in pairs.iter().filter(|(_, name)| name.ends_with("-share") && names.contains(name)) {
        keys.destroy(name)?;
    }
    keys.rename(&pairs)?;
    Ok(pairs.into_iter().map(|(_, name)| name).collect())
}

/// Refuses where anything but the identity is there already: a ceremony makes keys, it replaces none.
pub(super) fn nothing_but_identity(cx: &Context) -> Result<(), CeremonyError> {
    let identity = identity_keys(cx.setup.office);
    let names = cx.setup.keys.names()?;
    let other: Vec<&str> =
        names.iter().map(String::as_str).filter(|name| !identity.iter().any(|(known, _)| known == name)).collect();
    if other.is_empty() {
        return Ok(());
    }
    let told = format!("this office has keys already ({}); a ceremony replaces none", other.join(", "));
    Err(CeremonyError::Standing(told))
}

/// Draws the keys this office alone has, and says the public halves that others have to know.
pub(super) fn draw(cx: &Context, open: &mut Open) -> Result<(), CeremonyError> {
    let keys = &cx.setup.keys;
    for (name, usage) in alone(cx.setup.office) {
        let name = &pending(name);
        keys.generate(name, *usage)?;
    }
    match Role::of(cx.setup.office) {
        Role::Node(_) => {
            open.es256 = Some(es256(&keys.public(&pending("es256"))?.0)?);
            if cx.setup.roster.root() == Root::Sandbox {
                open.rs256 = Some(rs256(cx)?);
            }
        }
        _ if cx.setup.office == "front" => {
            let public = keys.public(&pending(crate::front::TRANSACTION_KEY))?;
            let public = Octets::try_from(public.0.as_slice());
            open.transactions = Some(public.map_err(|_| CeremonyError::Own("an Ed25519 key of 32 bytes".to_owned()))?);
        }
        _ => {}
    }
    Ok(())
}

fn own(error: impl std::fmt::Display) -> CeremonyError {
    CeremonyError::Own(error.to_string())
}

fn es256(point: &[u8]) -> Result<Jwk, CeremonyError> {
    let point = point.try_into().map_err(|_| own("a P-256 key has no uncompressed point"))?;
    Ok(named(PublicKey::p256(point).map_err(own)?, Alg::ES256))
}

/// One-key mode RS256, for `basic` clients of sandboxes; no key store makes RSA keys.
fn rs256(cx: &Context) -> Result<Jwk, CeremonyError> {
    let key = RsaKey::generate(Alg::RS256).map_err(own)?;
    cx.setup.keys.import(&pending("rs256"), KeyUse::Share, &key.to_pkcs8().map_err(own)?)?;
    Ok(named(key.public().key.clone(), Alg::RS256))
}

fn named(key: PublicKey, alg: Alg) -> Jwk {
    let mut jwk = Jwk::bare(key);
    jwk.kid = Some(jwk.thumbprint());
    jwk.alg = Some(alg);
    jwk
}
