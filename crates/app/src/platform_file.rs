//! A platform's file: what it asks the registry for. `hufu platform new` writes one, `hufu demo --platform` admits it.

use crate::demo::platform_ca::Issued;
use crate::failure::Failure;
use crate::files;
use hufu_kernel::{Answer, Octets, Rng, Root, Timestamp, b64, random};
use hufu_wire::api::platform::{Bilingual, PlatformCertificate, Profile, Purpose, Registration};
use hufu_wire::jose::{Alg, Jwks, SoftKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Days a platform is admitted for in the sandbox.
const ADMITTED_DAYS: i64 = 365;

/// The file's contents.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformFile {
    /// The OAuth client identifier.
    pub client_id: String,
    /// The boundary inside which the platform recognises a person again: `https://host`.
    pub sector_id: String,
    /// `fapi2`, or `basic` for clients that know plain OpenID Connect only (sandbox).
    pub profile: Profile,
    /// Exact addresses.
    pub redirect_uris: Vec<String>,
    /// All answers it may ever ask for.
    pub entitled: Vec<Answer>,
    /// `EdDSA`: two nodes sign together. `ES256`, `RS256`: one node signs alone.
    pub id_token_signed_response_alg: Alg,
    /// `basic` only: SHA-256 of the client secret, base64url.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_secret_sha256: Option<Octets<32>>,
    /// What it uses beyond what every platform has, by the names of RFC 7591: `post_logout_redirect_uris`, …
    #[serde(skip_serializing_if = "Registration::is_empty", default)]
    pub registration: Registration,
    /// The name people see.
    pub name: Bilingual,
    /// Why it asks; the first is the default.
    pub purposes: Vec<Purpose>,
    /// Its public keys.
    #[serde(default = "no_keys")]
    pub jwks: Jwks,
}

fn no_keys() -> Jwks {
    Jwks { keys: Vec::new() }
}

impl PlatformFile {
    /// Reads a file; unknown members are refused, so that a misspelt one is not silently without effect.
    ///
    /// # Errors
    /// [`Failure::Unreadable`] with the line.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = files::read(path)?.ok_or_else(|| Failure::unreadable(path, "there is no such platform file"))?;
        let text = String::from_utf8(bytes).map_err(|_| Failure::unreadable(path, "is not UTF-8 text"))?;
        toml::from_str(&text).map_err(|error| Failure::unreadable(path, format!("is not a platform file: {error}")))
    }

    /// The certificate the registry is asked to sign.
    #[must_use]
    pub fn certificate(self, root: Root, now: Timestamp) -> PlatformCertificate {
        PlatformCertificate {
            root,
            client_id: self.client_id,
            sector_id: self.sector_id,
            name: self.name,
            profile: self.profile,
            redirect_uris: self.redirect_uris,
            entitled: self.entitled,
            purposes: self.purposes,
            id_token_signed_response_alg: self.id_token_signed_response_alg,
            jwks: self.jwks,
            client_secret_sha256: self.client_secret_sha256,
            registration: self.registration,
            iat: now.minute(),
            exp: now.day() + ADMITTED_DAYS * 86_400,
        }
    }
}

/// How a new platform proves itself.
pub enum Kind {
    /// By a key of its own: profile `fapi2`.
    Key,
    /// By a TLS certificate (RFC 8705): profile `fapi2`.
    Certificate(Issued),
    /// By a secret: profile `basic`.
    Basic,
}

/// What `hufu platform new` wrote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// The platform file.
    pub file: PathBuf,
    /// Its TLS certificate.
    pub certificate: Option<PathBuf>,
    /// Its private key; nothing for `basic`, whose secret is among the settings.
    pub key: Option<PathBuf>,
    /// Settings for a program.
    pub env: PathBuf,
}

/// Where the sandbox is that a platform is made for.
#[derive(Clone, Copy, Debug)]
pub struct Service<'a> {
    /// Its issuer.
    pub issuer: &'a str,
    /// The file of its trust root's public half, to be pinned.
    pub trust: &'a Path,
}

/// Writes `NAME.toml`, `NAME.env` and, for `fapi2`, `NAME.key.json` or `NAME.crt` and `NAME.key` into `folder`; nothing is overwritten.
///
/// # Errors
/// [`Failure::Other`] for a name that is no client identifier or files that are there already.
pub fn create(name: &str, folder: &Path, kind: Kind, service: Service<'_>, rng: &dyn Rng) -> Result<Written, Failure> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.is_empty() || name.len() > 40 || !name.bytes().all(plain) || name.starts_with('-') || name.ends_with('-') {
        return Err(Failure::other(format!(
            "{name:?} is no client identifier: lower-case letters, digits and hyphens, 40 at most"
        )));
    }
    let key = SoftKey::generate(Alg::ES256, rng).map_err(Failure::other)?;
    let secret = b64(&random::<32>(rng));
    let at = |ending: &str| folder.join(format!("{name}.{ending}"));
    let (mut file, private) = match &kind {
        Kind::Basic => (template(name, Profile::Basic), None),
        Kind::Key => (template(name, Profile::Fapi2), Some(at("key.json"))),
        Kind::Certificate(_) => (template(name, Profile::Fapi2), Some(at("key"))),
    };
    match &kind {
        Kind::Key => file.jwks.keys.push(key.public().clone()),
        Kind::Basic => file.client_secret_sha256 = Some(Octets(Sha256::digest(&secret).into())),
        Kind::Certificate(issued) => {
            file.registration.tls_client_auth_subject_dn = Some(issued.subject.clone());
            file.registration.tls_client_certificate_bound_access_tokens = true;
        }
    }
    let certificate = matches!(kind, Kind::Certificate(_)).then(|| at("crt"));
    let written = Written { file: at("toml"), certificate, key: private, env: at("env") };
    let optional = written.certificate.iter().chain(&written.key);
    for path in [&written.file, &written.env].into_iter().chain(optional) {
        if path.exists() {
            return Err(Failure::unreadable(path, "is there already; nothing was written"));
        }
    }
    let mut env = format!(
        "HUFU_ISSUER={}\nHUFU_TRUST_FILE={}\nHUFU_CLIENT_ID={name}\nHUFU_REDIRECT_URI={}\nHUFU_SCOPE=openid\n",
        service.issuer,
        service.trust.display(),
        file.redirect_uris[0]
    );
    if let (Kind::Certificate(issued), Some(path)) = (&kind, &written.certificate) {
        files::replace(path, issued.certificate.as_bytes(), files::PUBLIC)?;
        env.push_str(&format!("HUFU_CLIENT_CERTIFICATE_FILE={}\n", path.display()));
    }
    match &written.key {
        Some(path) => {
            let private = match kind {
                Kind::Certificate(issued) => issued.key,
                _ => key.to_private_jwk(),
            };
            files::replace(path, private.as_bytes(), files::PRIVATE)?;
            env.push_str(&format!("HUFU_CLIENT_KEY_FILE={}\n", path.display()));
        }
        None => env.push_str(&format!("HUFU_CLIENT_SECRET={secret}\n")),
    }
    files::replace(&written.env, env.as_bytes(), files::PRIVATE)?;
    let text = format!("{HEADING}{}", toml::to_string_pretty(&file).map_err(Failure::other)?);
    files::replace(&written.file, text.as_bytes(), files::PUBLIC)?;
    Ok(written)
}

const HEADING: &str = "\
# What a platform asks the registry for. Change names, addresses and purposes, then: hufu demo --platform THIS-FILE, or, where the service
# is not the demo, hufu platform admit THIS-FILE --config registry/office.toml (there redirect_uris are https).
# Answers: real, unique, alive, age_over_18, age_band, guardian_consent. Each purpose asks for some of `entitled`.
";

fn template(name: &str, profile: Profile) -> PlatformFile {
    let text = |zh: &str, en: &str| Bilingual { zh: zh.into(), en: en.into() };
    PlatformFile {
        client_id: name.into(),
        sector_id: format!("https://{name}.example"),
        profile,
        redirect_uris: vec!["http://localhost:3000/callback".into()],
        entitled: vec![Answer::Real, Answer::Unique, Answer::AgeOver18],
        id_token_signed_response_alg: if profile == Profile::Fapi2 { Alg::EdDSA } else { Alg::RS256 },
        client_secret_sha256: None,
        registration: Registration::default(),
        name: text(name, name),
        purposes: vec![
            Purpose {
                id: "account".into(),
                text: text("注册和登录账号", "Create an account and sign in"),
                answers: vec![Answer::Real, Answer::Unique],
            },
            Purpose {
                id: "adult".into(),
                text: text("确认已年满十八周岁", "Check that you are 18 or older"),
                answers: vec![Answer::AgeOver18],
            },
        ],
        jwks: no_keys(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_kernel::SeededRng;

    fn service() -> Service<'static> {
        Service { issuer: "http://localhost:8420", trust: Path::new("/somewhere/trust.json") }
    }

    #[test]
    fn what_new_writes_is_read_back_and_nothing_is_overwritten() {
        for profile in [Profile::Fapi2, Profile::Basic] {
            let folder = tempfile::tempdir().unwrap();
            let kind = || if profile == Profile::Fapi2 { Kind::Key } else { Kind::Basic };
            let make = || create("my-shop", folder.path(), kind(), service(), &SeededRng::new(1));
            let written = make().unwrap();
            let file = PlatformFile::read(&written.file).unwrap();
            assert_eq!((file.client_id.as_str(), file.profile), ("my-shop", profile));
            assert_eq!(files::mode(&written.env).unwrap(), files::PRIVATE);
            let settings = std::fs::read_to_string(&written.env).unwrap();
            assert!(settings.contains("HUFU_TRUST_FILE=/somewhere/trust.json\n"), "{settings}");
            if let Some(key) = &written.key {
                assert_eq!(files::mode(key).unwrap(), files::PRIVATE);
                let private = SoftKey::from_private_jwk(&std::fs::read(key).unwrap()).unwrap();
                assert_eq!(file.jwks.keys[0].key, private.public().key);
            }
            assert!(!std::fs::read_to_string(&written.file).unwrap().contains("\"d\""));
            assert!(make().is_err());
        }
    }

    #[test]
    fn a_platform_with_a_tls_certificate_registers_its_name_and_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let issued =
            || Issued { certificate: "certificate".into(), key: "key".to_owned().into(), subject: "CN=my-shop".into() };
        let make = || create("my-shop", folder.path(), Kind::Certificate(issued()), service(), &SeededRng::new(1));
        let written = make().unwrap();
        let file = PlatformFile::read(&written.file).unwrap();
        let registration = file.registration.clone();
        assert_eq!(registration.tls_client_auth_subject_dn.as_deref(), Some("CN=my-shop"));
        assert!(registration.tls_client_certificate_bound_access_tokens && file.jwks.keys.is_empty());
        let certificate = file.certificate(Root::Sandbox, Timestamp(1_900_000_000));
        let now = Timestamp(1_900_000_000);
        assert_eq!(hufu_oidc::provider::Client::consistent(&certificate, Root::Sandbox, now), Ok(()));
        let (certificate, key) = (written.certificate.unwrap(), written.key.unwrap());
        assert_eq!(std::fs::read(certificate).unwrap(), b"certificate");
        assert_eq!((std::fs::read(&key).unwrap(), files::mode(&key).unwrap()), (b"key".to_vec(), files::PRIVATE));
        assert!(make().is_err());
    }

    #[test]
    fn a_misspelt_member_refuses_with_its_name_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let written = create("x", folder.path(), Kind::Key, service(), &SeededRng::new(2)).unwrap();
        let text = std::fs::read_to_string(&written.file).unwrap().replace("redirect_uris", "redirect_urls");
        std::fs::write(&written.file, text).unwrap();
        let message = PlatformFile::read(&written.file).unwrap_err().to_string();
        assert!(message.contains("redirect_urls") && message.contains("line"), "{message}");
    }

    #[test]
    fn names_that_are_no_client_identifiers_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["", "Shop", "a b", "../x", "-a", "a-", "a/b", "网"] {
            assert!(create(name, folder.path(), Kind::Key, service(), &SeededRng::new(3)).is_err(), "{name}");
        }
    }

    #[test]
    fn strangers_texts_are_platform_files_or_refused() {
        bolero::check!().for_each(|bytes: &[u8]| {
            if let Ok(text) = std::str::from_utf8(bytes) {
                let _ = toml::from_str::<PlatformFile>(text);
            }
        });
    }
}
