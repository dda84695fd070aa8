//! Demonstrating Proof of Possession (RFC 9449): the proof JWT, its twelve checks in order, and how a client makes one.

use crate::jose::{self, Alg, Claims, Compact, Header, JoseError, Jwk, Signer, SoftKey, verify};
use hufu_kernel::{Rng, Timestamp, b64, random};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The algorithms a proof may use (FAPI 2.0 Security Profile section 5.4.1: no RS256).
pub const PROOF_ALGS: [Alg; 3] = [Alg::ES256, Alg::EdDSA, Alg::PS256];

/// How far in the future `iat` may lie: clocks of clients run ahead (FAPI 2.0 asks for 10 s, forbids 60 s).
pub const FUTURE_LEEWAY: i64 = 10;

/// The longest `jti` that is kept for replay detection, in bytes.
pub const MAX_JTI: usize = 256;

/// What the request that carries the proof looks like. That there was exactly one `DPoP` header (check 1 of section 4.3)
/// is seen by whoever reads the headers.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The HTTP method.
    pub method: &'a str,
    /// The request's address as the client sees it; query and fragment are dropped on both sides.
    pub htu: &'a str,
    /// The present.
    pub now: Timestamp,
    /// How old `iat` may be, in seconds.
    pub max_age: i64,
    /// The access token that came along, if one did: `ath` must be its hash.
    pub access_token: Option<&'a str>,
    /// The nonce that this server asked for, if it did.
    pub nonce: Option<&'a str>,
}

/// What a proof proves. Whether `jti` was seen before is the caller's to ask of its replay set, for as long as `max_age`
/// plus [`FUTURE_LEEWAY`]; whether `jkt` is the token's `cnf` likewise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proof {
    /// The key's thumbprint (RFC 7638).
    pub jkt: String,
    /// The proof's own identifier.
    pub jti: String,
    /// When it was made.
    pub iat: Timestamp,
    /// The nonce it carries, if it does. A server that accepts more than one at a time compares it itself, with
    /// [`Expected::nonce`] `None`.
    pub nonce: Option<String>,
    /// The key.
    pub key: Jwk,
}

/// Which check of RFC 9449 section 4.3 failed. The number in the text is the section's.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DpopError {
    /// Not a well-formed JWT.
    #[error("(2) not a well-formed JWT: {0}")]
    Malformed(JoseError),
    /// A required claim is missing or malformed.
    #[error("(3) claim {0} is missing or malformed")]
    Claim(&'static str),
    /// `typ` is not `dpop+jwt`.
    #[error("(4) typ is not dpop+jwt")]
    Typ,
    /// The algorithm is not among [`PROOF_ALGS`].
    #[error("(5) the algorithm is not acceptable")]
    Alg,
    /// The header's `jwk` is missing, malformed, private, or does not fit the algorithm.
    #[error("(6, 7) the header's key is refused: {0}")]
    Key(JoseError),
    /// The signature does not verify under the header's key.
    #[error("(6) the signature does not verify")]
    Signature,
    /// `htm` is another method.
    #[error("(8) htm is another method")]
    Method,
    /// `htu` is another address.
    #[error("(9) htu is another address")]
    Address,
    /// The nonce asked for is missing or another: answer `use_dpop_nonce` with a fresh one.
    #[error("(10) the nonce is missing or another")]
    Nonce,
    /// `iat` is too old or in the future.
    #[error("(11) iat is outside the acceptable window")]
    Time,
    /// `ath` is not the hash of the access token, or the token is missing its `ath`.
    #[error("(12) ath does not fit the access token")]
    AccessToken,
}

struct Case<'a> {
    jws: &'a Compact,
    claims: Claims,
    expected: Expected<'a>,
}

type Check = fn(&Case<'_>) -> Result<(), DpopError>;

/// The checks that need no key, in the order of section 4.3.
const BEFORE_KEY: &[Check] = &[required_claims, typ, alg];

/// The checks of claims, once the signature holds.
const AFTER_KEY: &[Check] = &[method, address, nonce, time, access_token];

/// Checks a proof by RFC 9449 section 4.3.
///
/// # Errors
/// The first check that fails.
pub fn verify_proof(proof: &str, expected: &Expected<'_>) -> Result<Proof, DpopError> {
    let jws = Compact::parse(proof).map_err(|error| match error {
        JoseError::AlgNotAllowed => DpopError::Alg,
        other => DpopError::Malformed(other),
    })?;
    let claims = Claims::read(jws.unverified()).map_err(DpopError::Malformed)?;
    let case = Case { jws: &jws, claims, expected: *expected };
    BEFORE_KEY.iter().try_for_each(|check| check(&case))?;
    let key = header_key(&case)?;
    AFTER_KEY.iter().try_for_each(|check| check(&case))?;
    let text = |name| case.claims.text(name).map(str::to_owned).map_err(|_| DpopError::Claim(name));
    let iat = case.claims.date("iat").map_err(|_| DpopError::Claim("iat"))?;
    let nonce = case.claims.optional("nonce").map_err(|_| DpopError::Claim("nonce"))?;
    Ok(Proof { jkt: key.thumbprint(), jti: text("jti")?, iat, nonce, key })
}

fn required_claims(case: &Case<'_>) -> Result<(), DpopError> {
    for name in ["jti", "htm", "htu"] {
        case.claims.text(name).ok().filter(|text| !text.is_empty()).ok_or(DpopError::Claim(name))?;
    }
    case.claims.text("jti").ok().filter(|jti| jti.len() <= MAX_JTI).ok_or(DpopError::Claim("jti"))?;
    case.claims.date("iat").map(|_| ()).map_err(|_| DpopError::Claim("iat"))
}

fn typ(case: &Case<'_>) -> Result<(), DpopError> {
    if case.jws.header().is_typ("dpop+jwt") { Ok(()) } else { Err(DpopError::Typ) }
}

fn alg(case: &Case<'_>) -> Result<(), DpopError> {
    if PROOF_ALGS.contains(&case.jws.header().alg) { Ok(()) } else { Err(DpopError::Alg) }
}

/// The one place where a header's own key is used: the proof proves possession of it, and nothing more.
fn header_key(case: &Case<'_>) -> Result<Jwk, DpopError> {
    let value = case.jws.header().jwk.as_ref().ok_or(DpopError::Key(JoseError::NoKey))?;
    let key = Jwk::from_value(value).map_err(DpopError::Key)?;
    verify(case.jws, &key, &PROOF_ALGS).map_err(|error| match error {
        JoseError::BadSignature => DpopError::Signature,
        other => DpopError::Key(other),
    })?;
    // Only the key counts; its own kid, alg and use are the sender's words.
    Ok(Jwk::bare(key.key))
}

fn method(case: &Case<'_>) -> Result<(), DpopError> {
    if case.claims.text("htm") == Ok(case.expected.method) { Ok(()) } else { Err(DpopError::Method) }
}

fn address(case: &Case<'_>) -> Result<(), DpopError> {
    let signed = case.claims.text("htu").ok().and_then(normal_address);
    if signed.is_some() && signed == normal_address(case.expected.htu) { Ok(()) } else { Err(DpopError::Address) }
}

fn nonce(case: &Case<'_>) -> Result<(), DpopError> {
    match case.expected.nonce {
        Some(asked) if case.claims.text("nonce") != Ok(asked) => Err(DpopError::Nonce),
        _ => Ok(()),
    }
}

fn time(case: &Case<'_>) -> Result<(), DpopError> {
    let iat = case.claims.date("iat").map_err(|_| DpopError::Claim("iat"))?;
    let Expected { now, max_age, .. } = case.expected;
    if iat <= now + FUTURE_LEEWAY && iat >= now - max_age { Ok(()) } else { Err(DpopError::Time) }
}

fn access_token(case: &Case<'_>) -> Result<(), DpopError> {
    match case.expected.access_token {
        Some(token) if case.claims.text("ath") != Ok(ath(token).as_str()) => Err(DpopError::AccessToken),
        _ => Ok(()),
    }
}

/// The hash of an access token as a proof names it (section 4.2).
#[must_use]
pub fn ath(access_token: &str) -> String {
    b64(&Sha256::digest(access_token))
}

/// An http or https address in the one spelling in which two are compared: scheme and host in lower case, no default port,
/// no query, no fragment, an empty path as `/`, dot segments resolved, percent-encoding in upper case and only where
/// needed (RFC 3986 sections 6.2.2 and 6.2.3). `None` for anything else, user information included.
#[must_use]
pub fn normal_address(address: &str) -> Option<String> {
    if !address.bytes().all(|byte| byte.is_ascii_graphic() && !br#"\"<>^`{|}"#.contains(&byte)) {
        return None;
    }
    let (scheme, rest) = address.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "https" => "443",
        "http" => "80",
        _ => return None,
    };
    let rest = rest.split(['?', '#']).next()?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let authority = authority.to_ascii_lowercase();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority.as_str(), ""),
    };
    if host.is_empty() || host.contains('@') || port.len() > 5 || !port.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let port = if port.is_empty() || port == default_port { String::new() } else { format!(":{port}") };
    Some(format!("{scheme}://{host}{port}{}", without_dots(&normal_percent(path)?)))
}

/// RFC 3986 section 6.2.2.2; `None` for a `%` without two digits.
fn normal_percent(path: &str) -> Option<String> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let digits = after.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        let byte = u8::from_str_radix(digits, 16).ok()?;
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&digits.to_ascii_uppercase());
        }
        rest = &after[2..];
    }
    out.push_str(rest);
    Some(out)
}

/// RFC 3986 section 5.2.4 for an absolute path.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    for (at, segment) in segments.iter().enumerate() {
        let last = at + 1 == segments.len();
        match *segment {
            ".." => {
                kept.pop();
                if last {
                    kept.push("");
                }
            }
            "." if last => kept.push(""),
            "." => {}
            other => kept.push(other),
        }
    }
    format!("/{}", kept.join("/"))
}

#[derive(Serialize)]
struct ProofClaims<'a> {
    jti: &'a str,
    htm: &'a str,
    htu: &'a str,
    iat: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ath: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
}

/// Makes a proof for the request that `request` describes; `request.max_age` is not used.
///
/// # Errors
/// [`JoseError`] if the key gives no signature.
pub fn make_proof(key: &SoftKey, request: &Expected<'_>, rng: &dyn Rng) -> Result<String, JoseError> {
    let claims = ProofClaims {
        jti: &b64(&random::<16>(rng)),
        htm: request.method,
        htu: request.htu.split(['?', '#']).next().unwrap_or_default(),
        iat: request.now.0,
        ath: request.access_token.map(ath),
        nonce: request.nonce,
    };
    let mut header = Header::new(key.alg()).typ("dpop+jwt");
    header.jwk =
        Some(serde_json::to_value(Jwk::bare(key.public().key.clone())).map_err(|e| JoseError::Json(e.to_string()))?);
    jose::sign(key, header, &claims)
}
