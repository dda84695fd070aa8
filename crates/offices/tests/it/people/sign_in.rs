use super::world::{PASSWORD, World};
use hufu_kernel::{Answer, NodeIndex, Pair, Refusal, Strength};
use hufu_wallet::{Address, WalletError};
use serde_json::Value;
use std::sync::{Arc, Mutex};

const SHOP: &str = "https://shop.example";
const FORUM: &str = "https://forum.example";

#[tokio::test]
async fn the_pseudonym_is_one_per_sector_whatever_pair_serves() {
    let world = World::new(11);
    let mut wallet = world.enrolled(1).await;
    let mut subs = std::collections::BTreeSet::new();
    for pair in Pair::ALL {
        subs.insert(world.sign_in(&mut wallet, SHOP, pair).await.unwrap().payload.sub);
    }
    assert_eq!(subs.len(), 1);
    let forum = world.sign_in(&mut wallet, FORUM, Pair::ALL[0]).await.unwrap().payload.sub;
    assert!(!subs.contains(&forum));
    let mut other = world.enrolled(2).await;
    assert!(!subs.contains(&world.sign_in(&mut other, SHOP, Pair::ALL[0]).await.unwrap().payload.sub));
}

#[tokio::test]
async fn a_lying_node_is_caught_by_wallet_and_by_its_peer() {
    let world = World::new(12);
    let mut wallet = world.enrolled(1).await;
    let honest = world.sign_in(&mut wallet, SHOP, Pair::ALL[0]).await.unwrap();
    // Node 2 gives another sector's evaluation: a point of the group with a proof that is about something else.
    let mut liar = world.sign_in(&mut wallet, FORUM, Pair::ALL[0]).await.unwrap();
    liar.id_token.clear();
    wallet.transport().set_tamper(|to, path, answer| {
        if path == "/v1/sign-in/begin" && to == Address::Node(NodeIndex::ALL[1]) {
            swap_elements(answer);
        }
    });
    let caught = world.sign_in(&mut wallet, SHOP, Pair::ALL[0]).await.unwrap_err();
    assert!(matches!(caught, WalletError::Untrusted(_) | WalletError::Refused(Refusal::SignatureRefused)), "{caught}");
    // Another pair serves: one lying node stops nobody.
    let asked = world.ask(SHOP, &[Answer::Real], Strength::Certificate);
    let signed = wallet.sign_in(&asked, &[Answer::Real], None, Pair::ALL[0]).await.unwrap();
    assert_eq!(signed.payload.sub, honest.payload.sub);
}

/// Puts the epoch's element where the pseudonym's belongs, and the other way round.
fn swap_elements(answer: &mut Value) {
    if let Some(evaluation) = answer.get_mut("evaluation") {
        let first = evaluation["pseudonym"].take();
        evaluation["pseudonym"] = evaluation["epoch"].take();
        evaluation["epoch"] = first;
    } else {
        let first = answer["pseudonym"]["element"].take();
        answer["pseudonym"]["element"] = answer["epoch"]["element"].take();
        answer["epoch"]["element"] = first;
    }
}

#[tokio::test]
async fn one_node_down_changes_nothing_and_two_refuse() {
    let world = World::new(13);
    let mut wallet = world.enrolled(1).await;
    let before = world.sign_in(&mut wallet, SHOP, Pair::ALL[0]).await.unwrap().payload.sub;
    let asked = world.ask(SHOP, &[Answer::Real], Strength::Certificate);
    for down in NodeIndex::ALL {
        *world.faults.down.lock().unwrap() = [down].into();
        let signed = wallet.sign_in(&asked, &[Answer::Real], None, Pair::ALL[0]).await.unwrap();
        assert_eq!(signed.payload.sub, before);
        assert!(!signed.pair.members().contains(&down));
    }
    *world.faults.down.lock().unwrap() = [NodeIndex::ALL[0], NodeIndex::ALL[1]].into();
    let refused = wallet.sign_in(&asked, &[Answer::Real], None, Pair::ALL[0]).await.unwrap_err();
    assert_eq!(refused, WalletError::Refused(Refusal::NodesUnavailable));
}

#[tokio::test]
async fn a_wrong_password_is_counted_and_blocks_only_the_password() {
    let world = World::new(14);
    let mut wallet = world.enrolled(1).await;
    let asked = || world.ask(SHOP, &[Answer::Real], Strength::CertificatePassword);
    assert!(wallet.sign_in_with(&asked(), &[Answer::Real], Some(PASSWORD), Pair::ALL[0]).await.is_ok());
    for _ in 0..5 {
        let wrong = wallet.sign_in_with(&asked(), &[Answer::Real], Some("99999998"), Pair::ALL[0]).await.unwrap_err();
        assert_eq!(wrong, WalletError::Refused(Refusal::PasswordWrong));
    }
    let blocked = wallet.sign_in_with(&asked(), &[Answer::Real], Some(PASSWORD), Pair::ALL[0]).await.unwrap_err();
    assert_eq!(blocked, WalletError::Refused(Refusal::PasswordBlocked));
    assert!(world.sign_in(&mut wallet, SHOP, Pair::ALL[0]).await.is_ok(), "nobody can be locked out by guessing");
    world.clock.advance(3661);
    assert!(wallet.sign_in_with(&asked(), &[Answer::Real], Some(PASSWORD), Pair::ALL[0]).await.is_ok());
}

#[tokio::test]
async fn nodes_refuse_what_the_certificate_does_not_allow() {
    let world = World::new(15);
    let mut wallet = world.enrolled(1).await;
    let widened = world.ask(SHOP, &[Answer::Real], Strength::Certificate);
    let over = wallet.sign_in_with(&widened, &[Answer::Real, Answer::AgeBand], None, Pair::ALL[0]).await.unwrap_err();
    assert_eq!(over, WalletError::Refused(Refusal::OverAsking));
    let mut elsewhere = world.ask(SHOP, &[Answer::Real], Strength::Certificate);
    elsewhere.transaction.redirect_uri = "https://evil.example/callback".into();
    let redirect = wallet.sign_in_with(&elsewhere, &[Answer::Real], None, Pair::ALL[0]).await.unwrap_err();
    assert_eq!(redirect, WalletError::Refused(Refusal::PlatformRequest));
    let mut forged = world.ask(SHOP, &[Answer::Real], Strength::Certificate);
    forged.transaction.certificate = forged.transaction.certificate.replacen("ey", "eY", 1);
    let unknown = wallet.sign_in_with(&forged, &[Answer::Real], None, Pair::ALL[0]).await.unwrap_err();
    assert_eq!(unknown, WalletError::Refused(Refusal::PlatformUnknown));
    let mut issuer = world.ask(SHOP, &[Answer::Real], Strength::Certificate);
    issuer.transaction.iss = "http://evil.localhost".into();
    assert!(wallet.sign_in_with(&issuer, &[Answer::Real], None, Pair::ALL[0]).await.is_err());
}

#[tokio::test]
async fn a_consent_signed_more_than_a_minute_ago_is_refused() {
    let world = World::new(16);
    let mut wallet = world.enrolled(1).await;
    let asked = world.ask(SHOP, &[Answer::Real], Strength::Certificate);
    let seen = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&seen);
    wallet.transport().on_request(move |path, body| {
        if path == "/v1/sign-in/begin" {
            *keep.lock().unwrap() = Some(body.to_vec());
        }
    });
    wallet.sign_in_with(&asked, &[Answer::Real], None, Pair::ALL[0]).await.unwrap();
    let body = seen.lock().unwrap().clone().unwrap();
    let replay = |world: &World| {
        let node = world.nodes.at(NodeIndex::ALL[0]);
        let request: hufu_wire::api::sign_in::BeginSignIn = serde_json::from_slice(&body).unwrap();
        async move { node.begin_sign_in(&request).await }
    };
    assert!(replay(&world).await.is_ok(), "the control: within the minute it is fresh");
    world.clock.advance(61);
    assert_eq!(replay(&world).await.unwrap_err(), Refusal::StaleTime);
}

#[tokio::test]
async fn a_signing_session_serves_once() {
    let world = World::new(17);
    let mut wallet = world.enrolled(1).await;
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let keep = std::sync::Arc::clone(&seen);
    wallet.transport().set_tamper(move |to, path, answer| {
        if path == "/v1/sign-in/begin" {
            keep.lock().unwrap().push((to, answer.clone()));
        }
    });
    world.sign_in(&mut wallet, SHOP, Pair::ALL[0]).await.unwrap();
    let offers = seen.lock().unwrap().clone();
    let again = hufu_wire::api::sign_in::FinishSignIn {
        session: serde_json::from_value(offers[0].1["session"].clone()).unwrap(),
        peer: serde_json::from_value(offers[1].1.clone()).unwrap(),
    };
    assert_eq!(world.nodes.at(NodeIndex::ALL[0]).finish_sign_in(&again).await.unwrap_err(), Refusal::SessionGone);
}

#[tokio::test]
async fn the_fronts_key_signs_no_result() {
    let world = World::new(18);
    let signature = world.front_signs(b"header.payload");
    assert!(!hufu_wire::api::trust::verify_ed25519(&world.trust.group_key, b"header.payload", &signature));
}

#[tokio::test]
async fn after_five_wrong_tries_not_even_the_right_password_is_looked_at() {
    let world = World::new(66);
    let (mut wallet, _) = world.wallet_and_device();
    world.enrol(&mut wallet, &world.person(1)).await.unwrap();
    let asked = world.ask("https://a.example", &[Answer::Real], Strength::CertificatePassword);
    for _ in 0..5 {
        let wrong = wallet.sign_in_with(&asked, &[Answer::Real], Some("11112222"), Pair::ALL[0]).await;
        assert!(wrong.is_err());
    }
    let right = wallet.sign_in_with(&asked, &[Answer::Real], Some(super::world::PASSWORD), Pair::ALL[0]).await;
    assert_eq!(super::refused(right.unwrap_err()), Refusal::PasswordBlocked);
    let credential = wallet.row(NodeIndex::ALL[0]).await.unwrap().devices[0].credential;
    let until = world.row_of(NodeIndex::ALL[0], &credential).await.record.paused_until.unwrap();
    assert_eq!(until, until.minute(), "nothing finer than a minute is stored");
}
