//! A client, as its platform certificate has it.

use super::discovery::ASSERTION_ALGS;
use hufu_kernel::{Octets, Root, Timestamp};
use hufu_wire::api::platform::{DeliveryMode, PlatformCertificate, Profile};
use hufu_wire::jose::{Alg, Compact, Jwk, verify};
use hufu_wire::subject_handle::HandleUse;
use hufu_wire::tls_client::SubjectError;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// An admitted platform.
#[derive(Clone, PartialEq, Debug)]
pub struct Client {
    /// What the registry signed.
    pub certificate: PlatformCertificate,
    /// The certificate as the registry signed it, a compact JWS.
    pub jws: String,
    /// SHA-256 of the certificate's text (flows 4).
    pub hash: Octets<32>,
}

/// Where clients are found.
pub trait Clients: Sync {
    /// The client, if it is admitted and its certificate has not ended.
    fn client(&self, client_id: &str) -> Option<Arc<Client>>;
}

/// Why a platform certificate is not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClientError {
    /// Not a certificate signed by the pinned registry key.
    #[error("not a platform certificate signed by the registry")]
    Signature,
    /// Not of the documented shape.
    #[error("the certificate's content does not parse")]
    Shape,
    /// Of the other trust root.
    #[error("the certificate belongs to the other trust root")]
    Root,
    /// Not yet, or no longer, in force.
    #[error("the certificate is not in force")]
    Time,
    /// Profile `basic` outside the sandbox, or the wrong credentials for its profile.
    #[error(
        "profile and credentials do not fit: fapi2 needs a public key in jwks, or a TLS certificate's name, and no secret; basic exists in sandboxes only, and has no TLS certificate"
    )]
    Profile,
    /// A redirect address that is not https (http on localhost in the sandbox), or has a fragment or user information.
    #[error(
        "a redirect address is neither https nor, in a sandbox, http on this machine; or there is none, or it has a fragment"
    )]
    Redirect,
    /// A purpose asks for what the platform is not entitled to, or there is none, or two have one id.
    #[error("a purpose asks for an answer that is not in `entitled`, or there is none, or two have one id")]
    Purposes,
    /// The name of its TLS certificate is none, or there are two.
    #[error("{0}")]
    Subject(#[from] SubjectError),
    /// What it registered for requests of the back channel cannot be met.
    #[error(
        "for requests without a browser: backchannel_token_delivery_mode is poll or ping; ping needs a backchannel_client_notification_endpoint \
         (https, a host by name) and poll has none; profile fapi2 needs keys and a backchannel_authentication_request_signing_alg (ES256, EdDSA, PS256)"
    )]
    Backchannel,
    /// Something the front cannot do for this platform is registered.
    #[error(
        "signed responses are PS256 and ID tokens never are; sign-out addresses are as redirect addresses, that of the back channel names a host and is \
         without a session identifier; signed requests need keys; a use of the subject handle stands once; events are pushed to who has a \
         use `signals`, where a back channel may lead"
    )]
    Registration,
}

type Check = (&'static str, fn(&PlatformCertificate, Root, Timestamp) -> Result<(), ClientError>);

const CHECKS: &[Check] = &[
    ("of this trust root", root),
    ("in force", in_force),
    ("credentials fit the profile", profile),
    ("redirect addresses", redirects),
    ("purposes within the entitlement", purposes),
    ("the TLS certificate's name", subject),
    ("signed responses and sign-out", registration),
    ("requests of the back channel", backchannel),
];

impl Client {
    /// Reads a certificate: signature under the pinned registry key, then its own consistency.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn admit(jws: &str, registry: &Jwk, root: Root, now: Timestamp) -> Result<Self, ClientError> {
        let compact = Compact::parse(jws).map_err(|_| ClientError::Signature)?;
        if !compact.header().is_typ(PlatformCertificate::TYP) {
            return Err(ClientError::Signature);
        }
        let payload = verify(&compact, registry, &[Alg::EdDSA]).map_err(|_| ClientError::Signature)?;
        let certificate: PlatformCertificate = payload.json().map_err(|_| ClientError::Shape)?;
        Self::consistent(&certificate, root, now)?;
        Ok(Self { certificate, jws: jws.to_owned(), hash: Octets(Sha256::digest(jws).into()) })
    }

    /// Whether what a platform asks for can be admitted, signed or not.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn consistent(certificate: &PlatformCertificate, root: Root, now: Timestamp) -> Result<(), ClientError> {
        CHECKS.iter().try_for_each(|(_, check)| check(certificate, root, now))
    }

    /// Whether it follows FAPI 2.0.
    #[must_use]
    pub fn is_fapi(&self) -> bool {
        self.certificate.profile == Profile::Fapi2
    }
}

fn root(certificate: &PlatformCertificate, root: Root, _: Timestamp) -> Result<(), ClientError> {
    if certificate.root == root { Ok(()) } else { Err(ClientError::Root) }
}

fn in_force(certificate: &PlatformCertificate, _: Root, now: Timestamp) -> Result<(), ClientError> {
    // A minute for the registry's clock.
    if certificate.iat <= now + 60 && now < certificate.exp { Ok(()) } else { Err(ClientError::Time) }
}

fn profile(certificate: &PlatformCertificate, root: Root, _: Timestamp) -> Result<(), ClientError> {
    let (keys, secret) = (!certificate.jwks.keys.is_empty(), certificate.client_secret_sha256.is_some());
    let registered = &certificate.registration;
    let fits = match certificate.profile {
        Profile::Fapi2 => {
            let known = keys || registered.uses_tls_client_auth();
            known && !secret && certificate.id_token_signed_response_alg != Alg::RS256
        }
        Profile::Basic => root == Root::Sandbox && (keys || secret) && !registered.needs_mutual_tls(),
    };
    if fits && !certificate.client_id.is_empty() { Ok(()) } else { Err(ClientError::Profile) }
}

/// The algorithm of what a front signs itself. No ID token is ever of it, so that nobody who holds the service to the algorithm they
/// registered takes the one for the other, not even from a stolen key (decision 0021).
pub const RESPONSE_ALG: Alg = Alg::PS256;

/// What is registered can be met.
fn registration(certificate: &PlatformCertificate, root: Root, _: Timestamp) -> Result<(), ClientError> {
    let registered = &certificate.registration;
    let signed = registered.response_algs().all(|alg| alg == RESPONSE_ALG);
    let apart = certificate.id_token_signed_response_alg != RESPONSE_ALG;
    let addresses = registered.post_logout_redirect_uris.iter().all(|uri| acceptable_redirect(uri, root));
    let request_objects = !registered.require_signed_request_object || !certificate.jwks.keys.is_empty();
    let back_channel = registered.backchannel_logout_uri.iter().all(|uri| acceptable_back_channel(uri, root));
    let addresses = addresses && back_channel && !registered.backchannel_logout_session_required;
    let uses = HandleUse::set(&registered.subject_handle).count_ones() as usize == registered.subject_handle.len();
    let pushed = registered.ssf_push_uri.iter().all(|uri| acceptable_back_channel(uri, root));
    let later = uses && pushed && (registered.ssf_push_uri.is_none() || registered.may(HandleUse::Signals));
    if signed && apart && addresses && request_objects && later { Ok(()) } else { Err(ClientError::Registration) }
}

/// CIBA Core section 4: poll or ping, an address for ping alone, signed requests where the profile wants them.
fn backchannel(certificate: &PlatformCertificate, root: Root, _: Timestamp) -> Result<(), ClientError> {
    let registered = &certificate.registration;
    let (mode, alg) =
        (registered.backchannel_token_delivery_mode, registered.backchannel_authentication_request_signing_alg);
    let endpoint = registered.backchannel_client_notification_endpoint.as_deref();
    let delivered = match (mode, endpoint) {
        (None, None) => return if alg.is_none() { Ok(()) } else { Err(ClientError::Backchannel) },
        (Some(DeliveryMode::Poll), None) => true,
        (Some(DeliveryMode::Ping), Some(uri)) => acceptable_back_channel(uri, root),
        _ => false,
    };
    let signed = match alg {
        Some(alg) => ASSERTION_ALGS.contains(&alg) && !certificate.jwks.keys.is_empty(),
        None => certificate.profile == Profile::Basic,
    };
    if delivered && signed { Ok(()) } else { Err(ClientError::Backchannel) }
}

/// RFC 8705 section 2.1.2: exactly one name, where there is one.
fn subject(certificate: &PlatformCertificate, _: Root, _: Timestamp) -> Result<(), ClientError> {
    let registered = &certificate.registration;
    if registered.uses_tls_client_auth() {
        registered.tls_client_subject()?;
    }
    Ok(())
}

fn redirects(certificate: &PlatformCertificate, root: Root, _: Timestamp) -> Result<(), ClientError> {
    let uris = &certificate.redirect_uris;
    let fits = !uris.is_empty() && uris.iter().all(|uri| acceptable_redirect(uri, root));
    if fits { Ok(()) } else { Err(ClientError::Redirect) }
}

/// RFC 6749 section 3.1.2 and FAPI 2.0 section 5.3.2.2: absolute, https, no fragment. The sandbox also takes http on this
/// machine, where sample platforms run. No IPv6 literal: a page's policy cannot name one (CSP Level 3 section 2.3.1), so no page could post
/// a response there.
fn acceptable_redirect(uri: &str, root: Root) -> bool {
    let visible = uri.len() <= 2048 && uri.bytes().all(|b| b.is_ascii_graphic() && !br#"\"<>^`{|}#"#.contains(&b));
    let (local, rest) = match uri.split_once("://") {
        Some(("https", rest)) => (false, rest),
        Some(("http", rest)) => (true, rest),
        _ => return false,
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let this_machine = matches!(host, "localhost" | "127.0.0.1") || host.ends_with(".localhost");
    visible
        && !host.is_empty()
        && !authority.contains(['@', '['])
        && (!local || (root == Root::Sandbox && this_machine))
}

/// An address that the front itself calls: a redirect address with a host's name in it, so that what the name leads to can be looked at
/// before anything is sent. A number would be called as it stands, however it is spelt; in the sandbox those of this machine may.
fn acceptable_back_channel(uri: &str, root: Root) -> bool {
    let authority = uri.split_once("://").and_then(|(_, rest)| rest.split(['/', '?']).next()).unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, "443"),
    };
    let plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    // What browsers and clients take for a number ends in one (WHATWG URL, "ends in a number").
    let name = host.rsplit('.').next().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_alphabetic()));
    let this_machine = root == Root::Sandbox && host == "127.0.0.1";
    acceptable_redirect(uri, root) && port.parse::<u16>().is_ok() && ((plain && name) || this_machine)
}

fn purposes(certificate: &PlatformCertificate, _: Root, _: Timestamp) -> Result<(), ClientError> {
    let purposes = &certificate.purposes;
    let entitled =
        purposes.iter().flat_map(|purpose| &purpose.answers).all(|answer| certificate.entitled.contains(answer));
    let distinct = purposes.iter().enumerate().all(|(at, one)| purposes[..at].iter().all(|other| other.id != one.id));
    if !purposes.is_empty() && entitled && distinct { Ok(()) } else { Err(ClientError::Purposes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn redirects_go_to_https_and_in_the_sandbox_to_this_machine() {
        for uri in ["https://shop.example/cb", "https://shop.example:8443/cb?x=1"] {
            assert!(acceptable_redirect(uri, Root::Production), "{uri}");
        }
        for uri in ["http://localhost:9000/cb", "http://shop.localhost:9000/cb", "http://127.0.0.1:1/cb"] {
            assert!(acceptable_redirect(uri, Root::Sandbox), "{uri}");
            assert!(!acceptable_redirect(uri, Root::Production), "{uri}");
        }
    }

    #[test]
    fn addresses_that_could_open_elsewhere_are_refused() {
        for uri in [
            "javascript:alert(1)",
            "data:text/html,x",
            "http://shop.example/cb",
            "//shop.example/cb",
            "/cb",
            "https://",
            "https:///cb",
            "https://user@shop.example/cb",
            "https://localhost@evil.example/",
            "http://localhost@evil.example/",
            "http://localhost.evil.example/",
            "http://[::1]:9/cb",
            "https://[2001:db8::1]/cb",
            "https://shop.example/cb#fragment",
            "https://shop.example/\r\nSet-Cookie:x",
            "https://shop.example\\@evil.example/",
        ] {
            assert!(!acceptable_redirect(uri, Root::Sandbox), "{uri}");
        }
    }

    #[test]
    fn the_back_channel_goes_to_names_and_never_to_numbers() {
        for uri in ["https://shop.example/out", "https://shop.example:8443/out?x=1", "https://a1.b2/"] {
            assert!(acceptable_back_channel(uri, Root::Production), "{uri}");
        }
        for uri in ["http://localhost:9000/out", "http://127.0.0.1:1/out", "https://127.0.0.1/"] {
            assert!(acceptable_back_channel(uri, Root::Sandbox), "{uri}");
            assert!(!acceptable_back_channel(uri, Root::Production), "{uri}");
        }
        for uri in [
            "https://10.0.0.1/out",
            "https://169.254.169.254/latest/meta-data",
            "https://[fd00::1]/out",
            "http://[::1]:9/out",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://127.1/",
            "https://10.0.0.1./",
            "https://shop.example./",
            "https://10.0.0.%31/",
            "https://shop.example:99999/",
            "https://user@shop.example/",
            "http://shop.example/out",
        ] {
            for root in [Root::Production, Root::Sandbox] {
                assert!(!acceptable_back_channel(uri, root), "{uri}");
            }
        }
    }

    /// An IPv4 address as `inet_aton` and browsers read it: up to four parts, the last one all that is left, each of its own radix.
    fn of_four(address: u32, parts: usize, radix: &[u8]) -> String {
        let octets = address.to_be_bytes();
        let (first, last) = octets.split_at(parts - 1);
        let last = last.iter().fold(0_u32, |sum, octet| (sum << 8) | u32::from(*octet));
        let numbers = first.iter().map(|octet| u32::from(*octet)).chain([last]);
        let spelt = numbers.zip(radix).map(|(number, radix)| match radix {
            0 => format!("{number}"),
            1 => format!("{number:#x}"),
            2 => format!("0X{number:08X}"),
            _ => format!("0{number:o}"),
        });
        spelt.collect::<Vec<_>>().join(".")
    }

    /// An IPv6 address in brackets.
    fn of_six(address: u128) -> String {
        format!("[{}]", std::net::Ipv6Addr::from(address))
    }

    #[test]
    fn the_spellings_of_an_address_are_those_that_browsers_know() {
        let radix = [0, 1, 2, 3];
        for (parts, spelt) in
            [(1, "2130706433"), (2, "127.0x1"), (3, "127.0x0.0X00000001"), (4, "127.0x0.0X00000000.01")]
        {
            assert_eq!(of_four(0x7f00_0001, parts, &radix), spelt);
        }
        assert_eq!(of_six(1), "[::1]");
    }

    proptest! {
        #[test]
        fn no_number_is_a_back_channel_however_it_is_spelt(
            short: u32, long: u128, radix in proptest::collection::vec(0_u8..4, 4), parts in 1_usize..=4, port: Option<u16>, dot: bool
        ) {
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            let dot = if dot { "." } else { "" };
            for host in [format!("{}{dot}", of_four(short, parts, &radix)), of_six(long), of_six(u128::from(short) | (0xffff << 32))] {
                for scheme in ["https", "http"] {
                    let uri = format!("{scheme}://{host}{port}/out");
                    prop_assert!(!acceptable_back_channel(&uri, Root::Production), "{}", uri);
                    prop_assert!(host == "127.0.0.1" || !acceptable_back_channel(&uri, Root::Sandbox), "{}", uri);
                }
            }
        }

        /// The control: not everything is refused.
        #[test]
        fn names_are_back_channels(host in "[a-z0-9]{1,8}(-[a-z0-9]{1,4})?\\.[a-z][a-z0-9]{1,6}", port: Option<u16>) {
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            let uri = format!("https://{host}{port}/out");
            prop_assert!(acceptable_back_channel(&uri, Root::Production), "{}", uri);
        }

        #[test]
        fn no_text_makes_the_address_check_fall_over(uri in ".{0,60}") {
            let _ = acceptable_redirect(&uri, Root::Sandbox);
        }
    }
}
