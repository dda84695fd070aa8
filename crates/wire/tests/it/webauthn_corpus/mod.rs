//! A table of assertions and registrations, honest and changed in one place each, with our verdict on each and the named
//! judges who differ by design. `vectors/webauthn.json` holds it for judges in other languages.

mod assertions;
mod registrations;

use hufu_kernel::{Bytes, SeededRng};
use hufu_wire::cose;
use hufu_wire::jose::{Alg, SoftKey};
use hufu_wire::webauthn::{Assertion, AssertionError, Registration, SoftDevice};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

pub const RP_ID: &str = "wallet.example";
pub const ORIGIN: &str = "https://wallet.example";
/// Its base64url holds both characters that base64 spells otherwise.
pub const CHALLENGE: [u8; 32] = [0xfb; 32];
pub const WEBAUTHN_RS: &str = "webauthn-rs";
pub const SIMPLE: &str = "simplewebauthn";

/// Why a padded challenge is refused though another judge takes it.
const PADDING: &str = "decodes padded base64url; section 5.8.1 has it without padding, and we compare text";

/// UP and UV.
pub const HONEST: u8 = 0b101;

/// One row of the table.
#[derive(Serialize)]
pub struct Case<T> {
    pub name: String,
    pub device: &'static str,
    pub input: T,
    /// `accept`, or the step that refuses.
    pub verdict: String,
    /// Judges who come to the other verdict, and why that is right.
    pub differs: BTreeMap<&'static str, &'static str>,
}

impl<T> Case<T> {
    fn unless(mut self, judge: &'static str, reason: &'static str) -> Self {
        self.differs.insert(judge, reason);
        self
    }
}

/// The whole file.
#[derive(Serialize)]
pub struct Corpus {
    pub about: &'static str,
    pub rp_id: &'static str,
    pub origin: &'static str,
    pub challenge: Bytes,
    pub devices: BTreeMap<&'static str, Device>,
    pub assertions: Vec<Case<Assertion>>,
    pub registrations: Vec<Case<Registration>>,
}

/// A registered device.
#[derive(Serialize, Clone)]
pub struct Device {
    pub credential_id: Bytes,
    pub cose_key: Bytes,
}

/// The devices of the table.
pub struct World {
    pub es256: SoftDevice,
    pub other: SoftDevice,
    pub eddsa: SoftKey,
}

impl World {
    pub fn new() -> Self {
        Self {
            es256: SoftDevice::generate(&SeededRng::new(1)).unwrap(),
            other: SoftDevice::generate(&SeededRng::new(2)).unwrap(),
            eddsa: SoftKey::generate(Alg::EdDSA, &SeededRng::new(3)).unwrap(),
        }
    }

    pub fn devices(&self) -> BTreeMap<&'static str, Device> {
        let es256 =
            Device { credential_id: self.es256.credential_id().into(), cose_key: self.es256.key().to_cose().into() };
        let eddsa = Device {
            credential_id: EDDSA_ID.as_slice().into(),
            cose_key: cose::encode_key(&self.eddsa.public().key).unwrap().into(),
        };
        BTreeMap::from([("es256", es256), ("eddsa", eddsa)])
    }
}

/// The EdDSA device's credential id.
pub const EDDSA_ID: [u8; 16] = [0xed; 16];

/// What the key of an authenticator signs.
pub fn signed(data: &[u8], client: &str) -> Vec<u8> {
    [data, Sha256::digest(client).as_slice()].concat()
}

pub fn authenticator_data(rp_id: &str, flags: u8, count: u32, rest: &[u8]) -> Vec<u8> {
    [Sha256::digest(rp_id).as_slice(), &[flags], &count.to_be_bytes(), rest].concat()
}

/// Honest client data with one thing replaced.
pub fn client(kind: &str, from: &str, to: &str) -> String {
    let honest = format!(
        r#"{{"type":"{kind}","challenge":"{}","origin":"{ORIGIN}","crossOrigin":false}}"#,
        hufu_kernel::b64(&CHALLENGE)
    );
    assert!(honest.contains(from), "{from}");
    honest.replacen(from, to, 1)
}

fn verdict(verdict: Result<(), AssertionError>) -> String {
    match verdict {
        Ok(()) => "accept".into(),
        Err(step) => format!("{step:?}"),
    }
}

fn case<T>(name: &str, device: &'static str, said: Result<(), AssertionError>, input: T) -> Case<T> {
    Case { name: name.into(), device, input, verdict: verdict(said), differs: BTreeMap::new() }
}

/// The changes of client data that both ceremonies meet: name, text replaced, replacement, verdict.
fn client_changes() -> Vec<(&'static str, &'static str, &'static str, Result<(), AssertionError>)> {
    use AssertionError::{Challenge, ClientData, CrossOrigin, Origin, TopOrigin};
    vec![
        ("challenge: first characters changed", r#""challenge":"-"#, r#""challenge":"A"#, Err(Challenge)),
        ("challenge: in base64", r#""challenge":"-_v7"#, r#""challenge":"+/v7"#, Err(Challenge)),
        ("challenge: empty", r#""challenge":"#, r#""challenge":"","c":"#, Err(Challenge)),
        ("challenge: missing", "challenge", "chall", Err(ClientData)),
        ("challenge: padded", r#"","origin""#, r#"=","origin""#, Err(Challenge)),
        ("origin: another site", "wallet.example", "wallet.example.attacker.test", Err(Origin)),
        ("origin: a subdomain", "https://wallet", "https://x.wallet", Err(Origin)),
        ("origin: http", "https://", "http://", Err(Origin)),
        ("origin: another port", "wallet.example", "wallet.example:8443", Err(Origin)),
        ("origin: null", "https://wallet.example", "null", Err(Origin)),
        ("origin: missing", "origin\"", "origins\"", Err(ClientData)),
        ("origin: not a string", r#""https://wallet.example""#, "1", Err(ClientData)),
        ("crossOrigin: missing", r#","crossOrigin":false"#, "", Ok(())),
        ("crossOrigin: true", r#"Origin":false"#, r#"Origin":true"#, Err(CrossOrigin)),
        ("crossOrigin: a string", r#"Origin":false"#, r#"Origin":"false""#, Err(CrossOrigin)),
        ("crossOrigin: null", r#"Origin":false"#, r#"Origin":null"#, Err(CrossOrigin)),
        ("topOrigin present", r#"Origin":false"#, r#"Origin":false,"topOrigin":"https://top.example""#, Err(TopOrigin)),
        (
            "topOrigin present in a frame",
            r#"Origin":false"#,
            r#"Origin":true,"topOrigin":"https://t.example""#,
            Err(CrossOrigin),
        ),
        (
            "members unknown to us",
            r#"Origin":false"#,
            r#"Origin":false,"other_keys_can_be_added_here":"x","a":[1]"#,
            Ok(()),
        ),
        ("escapes in the origin", "https:", r"https\u003a", Ok(())),
        ("origin twice", r#","crossOrigin""#, r#","origin":"https://wallet.example","crossOrigin""#, Err(ClientData)),
        ("text after the object", "false}", "false}}", Err(ClientData)),
        ("white space around", "{", " {", Ok(())),
        ("a list", "{", "[{", Err(ClientData)),
        ("a byte order mark", "{", "\u{feff}{", Err(ClientData)),
        ("empty", "{", "", Err(ClientData)),
    ]
}

impl Corpus {
    pub fn build(world: &World) -> Self {
        Self {
            about: "WebAuthn Level 3 assertions and registrations, each changed in one place. Written by the tests of crates/wire (HUFU_BLESS=1); every judge must agree with `verdict` except where it is named under `differs`, and there it must not.",
            rp_id: RP_ID,
            origin: ORIGIN,
            challenge: CHALLENGE.as_slice().into(),
            devices: world.devices(),
            assertions: assertions::table(world),
            registrations: registrations::table(world),
        }
    }
}
