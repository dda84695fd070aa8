//! What ends on a day: the public listeners' TLS certificates, and the platforms'.

use super::site::{Local, Site};
use super::{Finding, Looked, edit};
use crate::deployment::office_file::{Mtls, Public};
use crate::deployment::public_tls::{self, validity};
use crate::offices::registry::Admitted;
use hufu_kernel::Timestamp;
use hufu_offices::front::Admission;
use hufu_offices::registry;
use hufu_wire::api::platform::PlatformCertificate;
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use std::path::Path;

const DAY: i64 = 86_400;
/// Somebody should know by then.
const SOON: i64 = 14 * DAY;
/// Platforms that are named; more are counted.
const NAMED: usize = 5;

/// The TLS certificates of the public listeners: in time, of their names, with their keys. And the authorities of platforms' own.
pub fn public(site: &Site) -> Looked {
    let mut looked = Looked::default();
    for local in &site.offices {
        if let Some(mtls) = &local.file.mtls {
            mutual(&mut looked, site, local, mtls);
        }
        let Some(public) = &local.file.public else { continue };
        let Public { certificate: Some(certificate), key: Some(key), .. } = public else {
            looked.unseen(local.name, "plain HTTP here: its proxy has the certificate, or it is a rehearsal");
            continue;
        };
        let address = site.plan.public_address(local.name);
        let of = Shown { what: format!("{}: public TLS", local.name), certificate, key, address: &address };
        looked.at(of.examined(site, local));
    }
    if looked.at == 0 && looked.unseen.is_empty() {
        Looked::nothing("no office here has a public listener")
    } else {
        looked
    }
}

/// The listener for platforms with TLS certificates of their own, and who may vouch for them.
fn mutual(looked: &mut Looked, site: &Site, local: &Local, mtls: &Mtls) {
    let Mtls { url, certificate, key, authorities, .. } = mtls;
    let of = Shown { what: format!("{}: mutual TLS", local.name), certificate, key, address: url };
    looked.at(of.examined(site, local));
    let what = format!("{}: authorities of platforms", local.name);
    let (now, mend) = (local.clock(site.plan.root).now(), edit(&local.config));
    looked.at(match public_tls::authorities(authorities) {
        Err(failure) => vec![Finding::bad(what, failure, mend)],
        Ok(all) => all
            .iter()
            .filter_map(|der| match validity(der) {
                Ok((_, until)) => ending(&what, now, until, &mend),
                Err(told) => Some(Finding::bad(&what, told, &mend)),
            })
            .collect(),
    });
}

/// What a listener shows, and the address at which it is found.
struct Shown<'a> {
    what: String,
    certificate: &'a Path,
    key: &'a Path,
    address: &'a str,
}

impl Shown<'_> {
    fn examined(&self, site: &Site, local: &Local) -> Vec<Finding> {
        let Self { what, certificate, key, address } = self;
        if let Err(failure) = public_tls::open(certificate, key) {
            return vec![Finding::bad(what, failure, edit(&local.config))];
        }
        // It is read again when it changes: no restart.
        let mend = format!("certbot renew   # or as you have it made, into {}", certificate.display());
        let der = match first(certificate) {
            Err(told) => return vec![Finding::bad(what, told, mend)],
            Ok(der) => der,
        };
        let now = local.clock(site.plan.root).now();
        let mut found = Vec::new();
        match validity(&der) {
            Err(told) => found.push(Finding::bad(what, told, &mend)),
            Ok((from, _)) if now < from => found.push(Finding::bad(what, format!("begins only at {from}"), &mend)),
            Ok((_, until)) => found.extend(ending(what, now, until, &mend)),
        }
        let host = address.split_once("://").map_or("", |(_, rest)| rest);
        let host = host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map_or(host, |(host, _)| host);
        let is_named = ParsedCertificate::try_from(&der)
            .ok()
            .zip(ServerName::try_from(host).ok())
            .is_some_and(|(certificate, name)| verify_server_name(&certificate, &name).is_ok());
        if !is_named {
            let told = format!("is not in the name of {host}, where this office is looked for");
            found.push(Finding::bad(what, told, &mend));
        }
        found
    }
}

fn first(path: &Path) -> Result<CertificateDer<'static>, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    CertificateDer::from_pem_slice(&bytes).map_err(|error| error.to_string())
}

/// What is to be said about something that ends.
pub fn ending(what: &str, now: Timestamp, until: Timestamp, mend: &str) -> Option<Finding> {
    match until.0.saturating_sub(now.0) {
        ..=0 => Some(Finding::bad(what, format!("ended at {until}"), mend)),
        left @ 1..SOON => Some(Finding::warning(what, format!("ends in {} days, at {until}", left / DAY), mend)),
        _ => None,
    }
}

/// The certificates of admitted platforms, where the registry is here.
pub fn platforms(site: &Site) -> Looked {
    let Some(local) = site.offices.iter().find(|local| local.name == "registry") else {
        return Looked::nothing("the registry is not here");
    };
    let pinned = local.roster().ok().and_then(|roster| roster.get("registry").cloned());
    let Some(pinned) = pinned else { return Looked::nothing("no roster says which key the registry has") };
    let admitted = Admitted::of(local.folder.path());
    let mend = |client: &str| format!("hufu platform admit {client}.toml --config {}", local.config.display());
    let names = match admitted.names() {
        Ok(names) if names.is_empty() => return Looked::nothing("none is admitted"),
        Ok(names) => names,
        Err(failure) => {
            let found = vec![Finding::bad("registry: platforms", failure, edit(&local.config))];
            return Looked { at: 1, found, unseen: Vec::new() };
        }
    };
    let now = local.clock(site.plan.root).now();
    // What the front goes by, where its trust.json is here.
    let admission = local.trust(site.plan.root).ok().and_then(|trust| Admission::of(&trust).ok());
    let refused = |certificate: &PlatformCertificate| admission.as_ref()?.look(certificate, now).err();
    let mut found = Vec::new();
    for name in &names {
        let what = format!("platform {name}");
        let certificate = admitted.read(name).ok().flatten();
        match certificate.and_then(|jws| registry::read(&pinned.key, &jws).ok()).filter(|read| read.client_id == *name)
        {
            None => found.push(Finding::bad(
                what,
                "its certificate is not this platform's under this registry's key",
                mend(name),
            )),
            Some(certificate) => found.extend(ending(&what, now, certificate.exp, &mend(name)).or_else(|| {
                let told = refused(&certificate)?;
                Some(Finding::bad(what, format!("is listed, and the front refuses it: {told}"), mend(name)))
            })),
        }
    }
    let more = found.len().saturating_sub(NAMED);
    found.truncate(NAMED);
    if more > 0 {
        found.push(Finding::warning("platforms", format!("{more} more like these"), mend("EACH")));
    }
    Looked { at: names.len(), found, unseen: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome;

    #[test]
    fn what_ends_within_two_weeks_is_a_warning_and_what_has_ended_is_bad() {
        let outcome =
            |left: i64| ending("x", Timestamp(1_000), Timestamp(1_000 + left), "y").map(|found| found.outcome);
        assert_eq!(outcome(SOON), None);
        assert_eq!(outcome(SOON - 1), Some(Outcome::Warning));
        assert_eq!(outcome(1), Some(Outcome::Warning));
        assert_eq!(outcome(0), Some(Outcome::Bad));
        assert_eq!(outcome(-DAY), Some(Outcome::Bad));
    }
}
