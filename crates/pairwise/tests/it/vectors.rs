//! The frozen vectors: every formula of flows 1, 3 and 4 with its intermediate values. The files are what other languages'
//! implementations read; `conformance/vectors/check.mjs` recomputes them with code that is not ours.

mod both;
mod challenge;
mod frost;
mod joint;
mod oprf;
mod password;
mod pseudonym;
mod reshare;

use hufu_kernel::hex;
use serde_json::Value;
use std::path::PathBuf;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(format!("{name}.json"))
}

/// Compares with the committed file, or writes it when `HUFU_BLESS=1`.
fn frozen(name: &str, fresh: &Value) {
    let text = serde_json::to_string_pretty(fresh).expect("a value") + "\n";
    if std::env::var("HUFU_BLESS").is_ok_and(|bless| bless == "1") {
        std::fs::write(path(name), &text).expect("the vectors are writable");
    }
    let committed = std::fs::read_to_string(path(name)).expect("the vectors are committed");
    assert!(
        committed == text,
        "{name}.json differs from what the code computes. These bytes are frozen: a change breaks every account. \
         See vectors/README.md."
    );
}

/// A key or root of a vector: recognisable, and of no use to anyone.
fn filled(label: &str) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(format!("hufu vector {label}")).into()
}

/// HMAC-SHA-256, as a node's key store computes it.
fn hmac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    use hmac::{KeyInit as _, Mac as _};
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(key).expect("any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn h(bytes: impl AsRef<[u8]>) -> Value {
    Value::String(hex(bytes.as_ref()))
}
