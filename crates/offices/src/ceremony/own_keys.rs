//! The keys an office draws by itself, and how keys come to count.

use super::engine::Context;
use super::{CeremonyError, Role, Setup};
use crate::front::{RESPONSE_KEY, TRANSACTION_KEY};
use crate::key_names::CONFIRMED;
use hufu_kernel::{KeyError, KeyKeeper, KeyUse, Octets, PENDING, Root};
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
pub(super) fn alone(office: &str) -> &'static [(&'static str, KeyUse)] {
    match Role::of(office) {
        Role::Node(_) => &[("rows", KeyUse::Seal), ("index", KeyUse::Hmac), ("es256", KeyUse::Es256)],
        Role::Other if office == "front" => &[(TRANSACTION_KEY, KeyUse::Ed25519)],
        Role::Other if office == "post" => &[("contacts", KeyUse::Seal)],
        Role::Tagger(_) | Role::Other => &[],
    }
}

/// The name of a key until everybody has confirmed.
pub(super) fn pending(name: &str) -> String {
    format!("{PENDING}{name}")
}

/// The keys that wait for a ceremony's end, without what marks them; the mark of a confirmed one is none of them.
///
/// # Errors
/// [`CeremonyError::Keys`].
pub fn pending_keys(keys: &dyn KeyKeeper) -> Result<Vec<String>, CeremonyError> {
    let names = keys.names()?.into_iter();
    let names = names.filter_map(|name| name.strip_prefix(PENDING).map(str::to_owned));
    Ok(names.filter(|name| name != CONFIRMED).collect())
}

/// The ceremony that this office has confirmed and whose end it has not heard.
///
/// # Errors
/// [`CeremonyError::Keys`], [`CeremonyError::Own`].
pub fn confirmed(keys: &dyn KeyKeeper) -> Result<Option<Octets<32>>, CeremonyError> {
    let mark = pending(CONFIRMED);
    if !keys.names()?.contains(&mark) {
        return Ok(None);
    }
    let broken = |_| CeremonyError::Own(format!("{mark} is not 32 bytes"));
    Octets::try_from(keys.share(&mark)?.as_slice()).map(Some).map_err(broken)
}

/// Writes down that this office confirms: before anybody hears it.
pub(super) fn mark_confirmed(keys: &dyn KeyKeeper, ceremony: &Octets<32>) -> Result<(), CeremonyError> {
    Ok(keys.import(&pending(CONFIRMED), KeyUse::Share, ceremony.as_slice())?)
}

/// Refuses while keys are pending that may count elsewhere.
pub(super) fn nothing_confirmed(keys: &dyn KeyKeeper) -> Result<(), CeremonyError> {
    let Some(ceremony) = confirmed(keys)? else { return Ok(()) };
    let told = format!(
        "this office has confirmed ceremony {} and has not heard its end: its pending keys may count at others. End it with \
         `hufu keys finish` and the transcript of an office where it ended; if it ended nowhere, two operators order that it is given \
         up everywhere (`hufu keys finish --abandon`)",
        hufu_kernel::hex(&ceremony.as_slice()[..8])
    );
    Err(CeremonyError::Standing(told))
}

/// Destroys what an unfinished ceremony has left, confirmed or not: right only if it ended nowhere. Returns the names.
///
/// # Errors
/// [`CeremonyError::Keys`].
pub fn abandon(keys: &dyn KeyKeeper) -> Result<Vec<String>, CeremonyError> {
    let mark = pending(CONFIRMED);
    let mut forgotten = Vec::new();
    for name in keys.names()?.into_iter().filter(|name| name.starts_with(PENDING) && *name != mark) {
        keys.destroy(&name)?;
        forgotten.extend(name.strip_prefix(PENDING).map(str::to_owned));
    }
    // Last: whoever is interrupted here abandons it again, and begins nothing else before.
    keys.destroy(&mark)?;
    Ok(forgotten)
}

/// Gives pending keys the names under which they are used. Nothing is changed unless all of these are free.
pub(super) fn settle(keys: &dyn KeyKeeper) -> Result<Vec<String>, CeremonyError> {
    let (names, mark) = (keys.names()?, pending(CONFIRMED));
    let pairs: Vec<(String, String)> = names
        .iter()
        .filter(|name| **name != mark)
        .filter_map(|name| Some((name.clone(), name.strip_prefix(PENDING)?.to_owned())))
        .collect();
    // A share that a repair found to be another one gives way.
    let (shares, taken): (Vec<&String>, Vec<&String>) = pairs
        .iter()
        .map(|(_, name)| name)
        .filter(|name| names.contains(name))
        .partition(|name| ["frost-share", "tag-share"].contains(&name.as_str()));
    if let Some(name) = taken.first() {
        return Err(KeyError::Taken((*name).clone()).into());
    }
    for name in shares {
        keys.destroy(name)?;
    }
    keys.rename(&pairs)?;
    keys.destroy(&mark)?;
    Ok(pairs.into_iter().map(|(_, name)| name).collect())
}

/// Refuses where anything but the identity is there already: a ceremony makes keys, it replaces none.
pub(super) fn nothing_but_identity(setup: &Setup) -> Result<(), CeremonyError> {
    let identity = identity_keys(setup.office);
    let names = setup.keys.names()?;
    let known = |name: &&str| name.starts_with(PENDING) || identity.iter().any(|(known, _)| known == name);
    let other: Vec<&str> = names.iter().map(String::as_str).filter(|name| !known(name)).collect();
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
            // RSA, which no key store makes.
            let responses = RsaKey::generate(Alg::PS256).map_err(own)?.to_pkcs8().map_err(own)?;
            keys.import(&pending(RESPONSE_KEY), KeyUse::Share, &responses)?;
            let public = keys.public(&pending(TRANSACTION_KEY))?;
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
