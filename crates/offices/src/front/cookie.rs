//! The transaction cookie: the answer must come from the browser that began (flows 7d).
//!
//! The answer arrives as a cross-site top-level POST from the wallet's page, so the cookie is `SameSite=None; Secure`. Over
//! https it has the `__Host-` prefix. Over plain http (a sandbox on localhost) Chromium takes a `Secure` cookie from
//! `http://localhost`, since it trusts that address; clients that do not (Python's cookie jar, HtmlUnit) get the same value in a
//! second cookie without `Secure` and without `SameSite`. Either is enough.

use hufu_kernel::{Octets, Rng, b64, random};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Seconds the cookie lives: as long as a transaction.
pub const COOKIE_SECONDS: i64 = super::TRANSACTION_SECONDS;

/// Sign-ins that one browser may have under way at once, in as many tabs.
const TABS: usize = 4;

/// The base64url length of a 32-byte secret.
const SECRET_LEN: usize = 43;

pub(super) struct Cookies {
    https: bool,
}

/// The browser's cookie once a transaction has begun.
pub(super) struct Begun {
    /// SHA-256 of the new secret.
    pub hash: Octets<32>,
    /// `Set-Cookie` headers.
    pub set: Vec<String>,
}

impl Cookies {
    pub(super) fn new(https: bool) -> Self {
        Self { https }
    }

    fn names(&self) -> &'static [(&'static str, &'static str)] {
        if self.https {
            &[("__Host-hufu-front-tx", "; Secure; SameSite=None")]
        } else {
            &[("hufu-front-tx", "; Secure; SameSite=None"), ("hufu-front-tx-plain", "")]
        }
    }

    /// Draws a secret for a new transaction, and keeps those of the same browser's other tabs.
    pub(super) fn begin(&self, headers: &[&str], rng: &dyn Rng) -> Begun {
        let secret = b64(&random::<32>(rng));
        let hash = Octets(Sha256::digest(&secret).into());
        let mut secrets = vec![secret.as_str()];
        secrets.extend(self.secrets(headers).take(TABS - 1));
        let value = secrets.join(".");
        let set = self.names().iter().map(|(name, attributes)| {
            format!("{name}={value}; Path=/; Max-Age={COOKIE_SECONDS}; HttpOnly{attributes}")
        });
        Begun { hash, set: set.collect() }
    }

    /// Whether the browser holds the secret with this hash.
    pub(super) fn holds(&self, headers: &[&str], hash: &Octets<32>) -> bool {
        self.secrets(headers).any(|secret| bool::from(Sha256::digest(secret).as_slice().ct_eq(hash.as_slice())))
    }

    /// The secrets of the first of our cookies that is there.
    fn secrets<'a>(&self, headers: &[&'a str]) -> impl Iterator<Item = &'a str> {
        let cookie = |wanted: &str| {
            let pairs =
                headers.iter().flat_map(|header| header.split(';')).filter_map(|pair| pair.trim().split_once('='));
            pairs.into_iter().find(|(name, _)| *name == wanted).map(|(_, value)| value)
        };
        let value = self.names().iter().find_map(|(name, _)| cookie(name)).unwrap_or_default();
        value.split('.').filter(|secret| secret.len() == SECRET_LEN).take(TABS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_kernel::SeededRng;
    use proptest::prelude::*;

    fn sent(begun: &Begun, at: usize) -> String {
        begun.set[at].split(';').next().unwrap().to_owned()
    }

    #[test]
    fn over_https_the_cookie_is_bound_to_the_host() {
        let begun = Cookies::new(true).begin(&[], &SeededRng::new(1));
        let [cookie] = begun.set.as_slice() else { panic!("one cookie") };
        assert!(cookie.starts_with("__Host-hufu-front-tx="));
        for attribute in ["; Path=/;", "; HttpOnly", "; Secure", "; SameSite=None"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        assert!(!cookie.contains("Domain"));
    }

    #[test]
    fn over_http_either_cookie_is_enough() {
        let cookies = Cookies::new(false);
        let begun = cookies.begin(&[], &SeededRng::new(1));
        assert!(cookies.holds(&[&sent(&begun, 0)], &begun.hash));
        assert!(cookies.holds(&["a=b; c=d", &sent(&begun, 1)], &begun.hash));
        assert!(!cookies.holds(&["a=b"], &begun.hash));
    }

    #[test]
    fn tabs_of_one_browser_do_not_end_each_other_up_to_a_bound() {
        let (cookies, rng) = (Cookies::new(true), SeededRng::new(1));
        let mut jar = String::new();
        let mut hashes = Vec::new();
        for _ in 0..6 {
            let begun = cookies.begin(&[&jar], &rng);
            jar = sent(&begun, 0);
            hashes.push(begun.hash);
        }
        let held: Vec<bool> = hashes.iter().map(|hash| cookies.holds(&[&jar], hash)).collect();
        assert_eq!(held, [false, false, true, true, true, true]);
    }

    #[test]
    fn a_cookie_of_the_other_kind_of_origin_is_not_looked_at() {
        let begun = Cookies::new(false).begin(&[], &SeededRng::new(1));
        assert!(!Cookies::new(true).holds(&[&sent(&begun, 0)], &begun.hash));
    }

    proptest! {
        #[test]
        fn no_header_makes_the_parser_fall_over(header in ".{0,200}") {
            prop_assert!(!Cookies::new(true).holds(&[&header], &Octets([7; 32])));
        }
    }
}
