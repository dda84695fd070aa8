//! A challenge binds every part of what is signed.

use hufu_kernel::{Answer, Label, Level, Strength, Timestamp};
use hufu_pairwise::{Context, Intl, challenge, request_direct, statement_context};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn context<'a>(answers: &'a [Answer], request: &'a [u8]) -> Context<'a> {
    Context {
        s: &[7; 32],
        sector_id: "https://shop.example",
        nonce: "n-1",
        redirect_uri: "https://shop.example/cb",
        certificate_hash: &[8; 32],
        purpose: "age-check",
        answers,
        request,
    }
}

#[test]
fn answers_are_a_set() {
    let base = context(&[Answer::Real, Answer::AgeOver18], &[]).hash::<Intl>();
    assert_eq!(context(&[Answer::AgeOver18, Answer::Real, Answer::Real], &[]).hash::<Intl>(), base);
    assert_ne!(context(&[Answer::Real], &[]).hash::<Intl>(), base);
}

#[test]
fn every_part_of_the_context_counts() {
    let answers = [Answer::Real];
    let base = context(&answers, &[]);
    let variants = [
        Context { s: &[9; 32], ..base },
        Context { sector_id: "https://forum.example", ..base },
        Context { nonce: "n-2", ..base },
        Context { redirect_uri: "https://shop.example/cb2", ..base },
        Context { certificate_hash: &[9; 32], ..base },
        Context { purpose: "sign-up", ..base },
        Context { answers: &[], ..base },
        Context { request: &[0; 32], ..base },
        // A boundary moved between two neighbours.
        Context { sector_id: "https://shop.examplen", nonce: "-1", ..base },
    ];
    let mut seen = BTreeSet::from([base.hash::<Intl>()]);
    for variant in variants {
        assert!(seen.insert(variant.hash::<Intl>()), "{variant:?}");
    }
}

#[test]
fn every_part_of_the_challenge_counts() {
    let chal = |label, level, subject: &[u8], ctx: u8, strength, t| {
        challenge::<Intl>(label, level, subject, &[ctx; 32], strength, Timestamp(t))
    };
    let (direct, certificate) = (Some(Level::Direct), Some(Strength::Certificate));
    let all = [
        chal(Label::SignIn, direct, b"https://a.example", 1, certificate, 100),
        chal(Label::Pass, direct, b"https://a.example", 1, certificate, 100),
        chal(Label::SignIn, Some(Level::Blind), b"https://a.example", 1, certificate, 100),
        chal(Label::SignIn, None, b"https://a.example", 1, certificate, 100),
        chal(Label::SignIn, direct, b"https://b.example", 1, certificate, 100),
        chal(Label::SignIn, direct, b"https://a.example", 2, certificate, 100),
        chal(Label::SignIn, direct, b"https://a.example", 1, Some(Strength::CertificatePassword), 100),
        chal(Label::SignIn, direct, b"https://a.example", 1, None, 100),
        chal(Label::SignIn, direct, b"https://a.example", 1, certificate, 101),
    ];
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
}

#[test]
fn no_two_labels_share_a_challenge() {
    let seen: BTreeSet<_> = Label::ALL
        .iter()
        .map(|label| challenge::<Intl>(*label, None, b"", &statement_context::<Intl>(b"x"), None, Timestamp(1)))
        .collect();
    assert_eq!(seen.len(), 15);
}

proptest! {
    #[test]
    fn the_request_binds_where_one_part_ends(a in "[a-z]{0,6}", b in "[a-z]{0,6}", c in "[a-z]{0,6}", d in "[a-z]{0,6}") {
        prop_assert_eq!(
            request_direct::<Intl>(&a, &b, "", &[1; 32]) == request_direct::<Intl>(&c, &d, "", &[1; 32]),
            a == c && b == d
        );
    }

    #[test]
    fn a_statement_is_no_context(bytes: Vec<u8>) {
        prop_assert_ne!(statement_context::<Intl>(&bytes), context(&[], &bytes).hash::<Intl>());
    }
}
