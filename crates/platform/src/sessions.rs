//! Sessions end by an epoch pseudonym, not a counter (design 2): a platform compares `ep` only with tokens of later `iat`.

use hufu_kernel::Timestamp;
use hufu_wire::api::sign_in::IdToken;
use serde::{Deserialize, Serialize};

/// What a platform keeps per account: the newest token's time and epoch pseudonym.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Seen {
    /// `iat` of the newest token.
    pub iat: Timestamp,
    /// Its epoch pseudonym.
    pub ep: String,
}

/// What a platform does with the account's older sessions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Older {
    /// They go on.
    GoOn,
    /// The person ended them: drop every session that began before this token.
    End,
}

/// Takes a verified token into account.
#[must_use]
pub fn observe(seen: Option<&Seen>, token: &IdToken) -> (Seen, Older) {
    let now = Seen { iat: token.iat, ep: token.hufu.ep.clone() };
    match seen {
        // An equal or earlier token says nothing about a later epoch: a replayed old one must not end or revive anything.
        Some(seen) if token.iat <= seen.iat => (seen.clone(), Older::GoOn),
        Some(seen) if seen.ep != now.ep => (now, Older::End),
        _ => (now, Older::GoOn),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_kernel::{Octets, Strength};
    use hufu_wire::api::sign_in::{Answers, VerificationResult};

    fn token(iat: i64, ep: &str) -> IdToken {
        IdToken {
            iss: "i".into(),
            sub: "s".into(),
            aud: "a".into(),
            nonce: String::new(),
            iat: Timestamp(iat),
            exp: Timestamp(iat + 300),
            auth_time: Timestamp(iat),
            acr: "urn:hufu:acr:certificate".into(),
            amr: vec![],
            hufu: VerificationResult {
                v: 1,
                ep: ep.into(),
                ctx: Octets([0; 32]),
                strength: Strength::Certificate,
                answers: Answers::default(),
                handle: None,
            },
        }
    }

    #[test]
    fn a_new_epoch_in_a_later_token_ends_older_sessions() {
        let (seen, _) = observe(None, &token(10, "one"));
        assert_eq!(observe(Some(&seen), &token(11, "two")).1, Older::End);
        assert_eq!(observe(Some(&seen), &token(11, "one")).1, Older::GoOn);
    }

    #[test]
    fn an_equal_or_earlier_token_changes_nothing() {
        let (seen, _) = observe(None, &token(10, "two"));
        assert_eq!(observe(Some(&seen), &token(10, "one")), (seen.clone(), Older::GoOn));
        assert_eq!(observe(Some(&seen), &token(9, "one")), (seen.clone(), Older::GoOn));
    }
}
