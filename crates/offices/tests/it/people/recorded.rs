//! One-key mode: a whole ID token from one node's signature. The other node's word must be of this very sign-in.

use super::outages::pair;
use super::world::{TestWallet, World};
use super::{ONE, TWO};
use hufu_domain::holder::Status;
use hufu_kernel::{Answer, Clock as _, Label, Level, Octets, Refusal, Strength, Timestamp};
use hufu_pairwise::{Context, Intl, challenge, request_direct};
use hufu_wallet::{Address, Device as _, SoftwareDevice};
use hufu_wire::api::sign_in::{BeginSignIn, FinishSignIn, SignInOffer, SignInShare};
use hufu_wire::jose::Alg;
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex};

const SHOP: &str = "https://shop.example";

/// A begin that reached node 2, and what it offered.
async fn recorded(world: &World, wallet: &mut TestWallet) -> (BeginSignIn, SignInOffer) {
    let mut certificate = world.ask(SHOP, &[Answer::Real], Strength::Certificate).certificate;
    certificate.id_token_signed_response_alg = Alg::ES256;
    let asked = world.ask_with(certificate, &[Answer::Real], Strength::Certificate);
    let (begun, offered) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(None)));
    let (keep, kept) = (Arc::clone(&begun), Arc::clone(&offered));
    wallet.transport().on_request(move |path, body| {
        if path == "/v1/sign-in/begin" {
            *keep.lock().unwrap() = Some(serde_json::from_slice(body).unwrap());
        }
    });
    wallet.transport().set_tamper(move |to, path, answer| {
        if (to, path) == (Address::Node(TWO), "/v1/sign-in/begin") {
            *kept.lock().unwrap() = Some(serde_json::from_value(answer.clone()).unwrap());
        }
    });
    wallet.transport().cut("/v1/sign-in/finish");
    assert!(wallet.sign_in_with(&asked, &[Answer::Real], None, pair(ONE, TWO)).await.is_err());
    wallet.transport().mend();
    let begun = begun.lock().unwrap().take().unwrap();
    let offered = offered.lock().unwrap().take().unwrap();
    (begun, offered)
}

/// A thief with the unlocked device signs the same consent with other times, and with another transaction.
async fn anew(device: &SoftwareDevice, begun: &BeginSignIn, tx: Octets<32>, now: Timestamp) -> BeginSignIn {
    let mut begun = begun.clone();
    let consent = &mut begun.consent;
    (consent.tx, consent.t, consent.iat) = (tx, now, now);
    let request =
        request_direct::<Intl>(&consent.client_id, &consent.code_challenge, &consent.dpop_jkt, consent.tx.as_slice());
    let ctx = Context {
        s: &consent.s.0,
        sector_id: SHOP,
        nonce: &consent.nonce,
        redirect_uri: &consent.redirect_uri,
        certificate_hash: &Sha256::digest(consent.certificate.as_bytes()).into(),
        purpose: &consent.purpose,
        answers: &consent.answers,
        request: &request,
    };
    let ctx = ctx.hash::<Intl>();
    let (level, strength) = (Some(Level::Direct), Some(consent.strength));
    let chal = challenge::<Intl>(Label::SignIn, level, SHOP.as_bytes(), &ctx, strength, consent.t);
    begun.assertion = device.assert(&chal).await.unwrap();
    begun
}

async fn finished(world: &World, begun: &BeginSignIn, peer: &SignInOffer) -> Result<SignInShare, Refusal> {
    let node = world.nodes.at(ONE);
    let session = node.begin_sign_in(begun).await.unwrap().session;
    node.finish_sign_in(&FinishSignIn { session, peer: peer.clone() }).await
}

#[tokio::test]
async fn a_node_that_missed_a_lock_signs_nothing_on_a_recorded_offer_of_its_peer() {
    let world = World::new(321);
    let (mut wallet, twin) = world.wallet_and_device();
    world.enrol(&mut wallet, &world.person(1)).await.unwrap();
    let (begun, offer) = recorded(&world, &mut wallet).await;
    // The control: in its own sign-in the offer is good, and what is signed here by hand is what a wallet signs.
    let same = anew(&twin, &begun, begun.consent.tx, begun.consent.t).await;
    assert!(!finished(&world, &same, &offer).await.unwrap().share.0.is_empty());

    world.clock.advance(600);
    *world.faults.lost.lock().unwrap() = Some(Box::new(|from, to, _| from == ONE || to == ONE));
    wallet.lock().await.unwrap();
    assert_eq!(
        world.only_row(ONE).await.holder.status,
        Status::Active,
        "the control: it is cut off, and wallets reach it"
    );
    let now = world.clock.now();
    for tx in [begun.consent.tx, Octets([7; 32])] {
        let later = anew(&twin, &begun, tx, now).await;
        assert_eq!(later.consent.s, begun.consent.s);
        assert_eq!(finished(&world, &later, &offer).await.unwrap_err(), Refusal::NodesDisagree);
    }
}
