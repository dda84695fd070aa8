//! Operators: a signing key a person, of which the public half is in the plan. Two of them make an order.

use crate::deployment::plan::Plan;
use crate::failure::Failure;
use crate::files;
use hufu_kernel::{Octets, Rng, b64};
use hufu_offices::ceremony::printed;
use hufu_wire::api::order::{Operator, SignedOrder};
use hufu_wire::jose::{Alg, SoftKey};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What a file of a private key is called, behind the operator's name.
const ENDING: &str = ".key.json";

/// The files of a new operator.
#[derive(Debug)]
pub struct New {
    /// The private key.
    pub key: PathBuf,
    /// The public half, as `hufu init --operators` takes it.
    pub entry: PathBuf,
    /// What stands in it.
    pub text: String,
    /// What the operator reads out when plans are compared.
    pub fingerprint: String,
}

/// Makes an operator's key. Nothing is overwritten.
///
/// # Errors
/// [`Failure::Other`] for a name that a plan would not take; [`Failure::Unreadable`] for a file that is there already.
pub fn new(name: &str, folder: &Path, rng: &dyn Rng) -> Result<New, Failure> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.is_empty() || !name.bytes().all(plain) {
        return Err(Failure::other("an operator's name is lower-case letters, digits and hyphens"));
    }
    let (key_path, entry) = (folder.join(format!("{name}{ENDING}")), folder.join(format!("{name}.operator.toml")));
    if let Some(there) = [&key_path, &entry].into_iter().find(|path| path.exists()) {
        return Err(Failure::unreadable(there, "is there already; nothing was written"));
    }
    let key = SoftKey::generate(Alg::EdDSA, rng).map_err(Failure::other)?;
    let operator = Operator { name: name.to_owned(), key: public(&key)? };
    let text = format!(
        "[operators.{name}]\nkey = \"{}\"\noffices = []   # the offices that {name} runs\n",
        b64(operator.key.as_slice())
    );
    files::private_folder(folder)?;
    files::replace(&key_path, key.to_private_jwk().as_bytes(), files::PRIVATE)?;
    files::replace(&entry, text.as_bytes(), files::PUBLIC)?;
    Ok(New { key: key_path, entry, text, fingerprint: operator.fingerprint() })
}

fn public(key: &SoftKey) -> Result<Octets<32>, Failure> {
    let public = key.public().key.as_ed25519().copied().map(Octets);
    public.ok_or_else(|| Failure::other("an operator's key is Ed25519"))
}

/// An operator's private key, and who that is by the plan.
pub struct Signer {
    /// The name in the plan.
    pub name: String,
    key: SoftKey,
}

impl Signer {
    /// Reads a private key that the plan knows.
    ///
    /// # Errors
    /// [`Failure::Exposed`] if others can read it; [`Failure::Unreadable`] if it is none, or no operator's of this plan.
    pub fn read(path: &Path, plan: &Plan) -> Result<Self, Failure> {
        let bytes = files::read(path)?.ok_or_else(|| Failure::unreadable(path, "missing"))?;
        let mode = files::mode(path)?;
        if mode & 0o077 != 0 {
            return Err(Failure::Exposed { path: path.to_owned(), mode, wanted: files::PRIVATE });
        }
        let key = SoftKey::from_private_jwk(&bytes).map_err(|error| Failure::unreadable(path, error))?;
        let public = public(&key)?;
        let known = plan.operators.iter().find(|(_, operator)| operator.key == public);
        let (name, _) = known.ok_or_else(|| Failure::unreadable(path, "is no operator's key of this plan"))?;
        Ok(Self { name: name.clone(), key })
    }

    /// All that lie in a folder, by name: those that `hufu init` made up.
    ///
    /// # Errors
    /// As [`Signer::read`].
    pub fn all(folder: &Path, plan: &Plan) -> Result<Vec<Self>, Failure> {
        let Ok(entries) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
        let paths = entries.flatten().map(|entry| entry.path());
        let mut paths: Vec<PathBuf> = paths.filter(|path| path.to_string_lossy().ends_with(ENDING)).collect();
        paths.sort();
        paths.iter().map(|path| Self::read(path, plan)).collect()
    }

    /// Signs.
    ///
    /// # Errors
    /// [`Failure::Other`] if the key makes no Ed25519 signature.
    pub fn sign(&self, message: &[u8]) -> Result<Octets<64>, Failure> {
        let signature = self.key.sign_deterministic(message);
        Octets::try_from(signature.as_slice()).map_err(|_| Failure::other("an operator's key is Ed25519"))
    }
}

/// Who may order what, for people: the plan's fingerprint, each operator with their key's, and who of them signed the order.
#[must_use]
pub fn text(plan: &Plan, signed: Option<&SignedOrder>) -> String {
    let mut text = format!("plan         {}\n", plan.fingerprint());
    for operator in of(plan) {
        let has_signed = signed.is_some_and(|signed| signed.signatures.contains_key(&operator.name));
        let signed = if has_signed { "   signed this" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "operator     {}   {}{signed}", operator.fingerprint(), printed(&operator.name));
    }
    text
}

/// The plan's operators, as orders are checked against them.
#[must_use]
pub fn of(plan: &Plan) -> Vec<Operator> {
    plan.operators.iter().map(|(name, operator)| Operator { name: name.clone(), key: operator.key }).collect()
}
