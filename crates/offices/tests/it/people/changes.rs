use super::world::World;
use hufu_domain::rules::Rules;
use hufu_kernel::{Clock as _, NodeIndex, Pair, Refusal};
use hufu_offices::node::Issued;
use hufu_store::{Batch, Expect, IdempotencyKey};
use hufu_wallet::{SoftwareDevice, State, Wallet, WalletError};
use hufu_wire::api::holder::{Authority, Change, Statement, SubmitStatement};
use hufu_wire::webauthn::credential_hash;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

const SHOP: &str = "https://shop.example";

#[tokio::test]
async fn ten_copies_are_signed_by_any_pair_and_bound_to_ten_keys() {
    let world = World::new(21);
    let mut wallet = world.enrolled(1).await;
    for pair in Pair::ALL {
        assert_eq!(wallet.issue_certificates(pair).await.unwrap(), 10);
    }
    let texts: std::collections::BTreeSet<_> =
        wallet.state.certificates.iter().map(|copy| copy.sd_jwt.clone()).collect();
    assert_eq!(texts.len(), 10);
    for copy in &wallet.state.certificates {
        let parsed = hufu_wire::sd_jwt::parse(&copy.sd_jwt).unwrap();
        let (input, signature) = parsed.jws.rsplit_once('.').unwrap();
        let signature = hufu_kernel::unb64(signature).unwrap().as_slice().try_into().unwrap();
        assert!(hufu_wire::api::trust::verify_ed25519(&world.trust.group_key, input.as_bytes(), &signature));
    }
}

/// Fills a node's only status list: whatever the seed, some place is taken.
#[tokio::test]
async fn a_batch_whose_status_place_is_taken_changes_nothing_and_every_try_has_another_seed() {
    let mut rules = Rules::built_in().unwrap();
    rules.certificate.status_lists = 1;
    let world = World::with_rules(33, rules);
    let mut wallet = world.enrolled(1).await;
    let other = world.enrolled(2).await;
    let store = &world.node_stores[1];
    let own = wallet.row(NodeIndex::ALL[1]).await.unwrap().devices[0].credential;
    let mut crowd =
        world.row_of(NodeIndex::ALL[1], &other.row(NodeIndex::ALL[1]).await.unwrap().devices[0].credential).await;
    crowd.record.copies = vec![Issued { until: world.clock.now() + 86_400, places: (0..1 << 20).collect() }];
    let mut batch = Batch::new();
    batch.put(&crowd.record, Expect::At(crowd.version));
    store.commit(batch, IdempotencyKey::random(world.rng.as_ref(), world.clock.now())).await.unwrap();
    let before = world.row_of(NodeIndex::ALL[1], &own).await;
    let seeds = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = Arc::clone(&seeds);
    wallet.transport().on_request(move |path, body| {
        let request: Option<SubmitStatement> =
            (path == "/v1/statements").then(|| serde_json::from_slice(body).unwrap());
        let Some(request) = request else { return };
        let statement: Statement = serde_json::from_slice(&request.statement.0).unwrap();
        if let Change::Certificates { seed, .. } = statement.change {
            seen.lock().unwrap().insert(seed.0);
        }
    });
    // The pair begins with the crowded node, so that no other has committed anything.
    let refused = wallet.issue_certificates(Pair::ALL[2]).await.unwrap_err();
    assert_eq!(refused, WalletError::Refused(Refusal::VersionConflict));
    assert!(seeds.lock().unwrap().len() > 1);
    assert_eq!(world.row_of(NodeIndex::ALL[1], &own).await.record, before.record);
}

#[tokio::test]
async fn a_pass_is_two_nodes_word_for_thirty_seconds() {
    let world = World::new(22);
    let wallet = world.enrolled(1).await;
    let pass = wallet.pass(Pair::ALL[1]).await.unwrap();
    let (input, signature) = pass.rsplit_once('.').unwrap();
    let signature = hufu_kernel::unb64(signature).unwrap().as_slice().try_into().unwrap();
    assert!(hufu_wire::api::trust::verify_ed25519(&world.trust.group_key, input.as_bytes(), &signature));
}

#[tokio::test]
async fn a_holder_key_acts_for_a_quarter_of_an_hour_and_no_longer() {
    let world = World::new(23);
    let wallet = world.enrolled(1).await;
    assert!(wallet.pass(Pair::ALL[0]).await.is_ok());
    world.clock.advance(15 * 60);
    assert_eq!(wallet.pass(Pair::ALL[0]).await.unwrap_err(), WalletError::Refused(Refusal::HolderKeyRefused));
    wallet.open_holder().await.unwrap();
    assert!(wallet.pass(Pair::ALL[0]).await.is_ok());
}

#[tokio::test]
async fn a_locked_row_signs_nothing_until_it_is_unlocked() {
    let world = World::new(24);
    let mut wallet = world.enrolled(1).await;
    wallet.lock().await.unwrap();
    assert_eq!(
        world.sign_in(&mut wallet, SHOP, Pair::ALL[0]).await.unwrap_err(),
        WalletError::Refused(Refusal::Locked)
    );
    assert_eq!(wallet.replace_number().await.unwrap_err(), WalletError::Refused(Refusal::Locked));
    wallet.unlock().await.unwrap();
    assert!(world.sign_in(&mut wallet, SHOP, Pair::ALL[0]).await.is_ok());
}

#[tokio::test]
async fn ending_sessions_moves_the_epoch_pseudonym_with_every_pair_and_keeps_sub() {
    let world = World::new(25);
    let mut wallet = world.enrolled(1).await;
    let before = world.sign_in(&mut wallet, SHOP, Pair::ALL[0]).await.unwrap().payload;
    wallet.end_sessions().await.unwrap();
    for pair in Pair::ALL {
        let after = world.sign_in(&mut wallet, SHOP, pair).await.unwrap().payload;
        assert_eq!(after.sub, before.sub);
        assert_ne!(after.hufu.ep, before.hufu.ep);
    }
}

#[tokio::test]
async fn a_replaced_number_is_new_at_every_node() {
    let world = World::new(26);
    let mut wallet = world.enrolled(1).await;
    let before = wallet.state.number.clone();
    wallet.replace_number().await.unwrap();
    for node in NodeIndex::ALL {
        let row = wallet.row(node).await.unwrap();
        assert_eq!(Some(row.number), wallet.state.number);
        assert_ne!(wallet.state.number, before);
    }
}

#[tokio::test]
async fn a_second_device_signs_in_with_the_same_pseudonym_and_can_be_removed() {
    let world = World::new(27);
    let mut wallet = world.enrolled(1).await;
    let sub = world.sign_in(&mut wallet, SHOP, Pair::ALL[0]).await.unwrap().payload.sub;
    let device = SoftwareDevice::generate(&world.trust.rp_id, super::world::WALLET, world.rng.as_ref()).unwrap();
    let credential = credential_hash(&hufu_wallet::Device::credential_id(&device).0);
    wallet.add_device(&device).await.unwrap();
    let state = State { commitments: wallet.state.commitments.clone(), ..State::default() };
    let mut second = Wallet::new(
        Arc::clone(&world.trust),
        world.network(),
        device,
        state,
        Arc::clone(&world.clock) as _,
        Arc::clone(&world.rng),
    )
    .unwrap();
    assert_eq!(world.sign_in(&mut second, SHOP, Pair::ALL[2]).await.unwrap().payload.sub, sub);
    wallet.remove_device(credential).await.unwrap();
    assert_eq!(
        world.sign_in(&mut second, SHOP, Pair::ALL[2]).await.unwrap_err(),
        WalletError::Refused(Refusal::UnknownDevice)
    );
    let own = wallet.row(NodeIndex::ALL[0]).await.unwrap().devices[0].credential;
    assert_eq!(wallet.remove_device(own).await.unwrap_err(), WalletError::Refused(Refusal::LastDevice));
}

#[tokio::test]
async fn with_two_nodes_down_no_change_is_begun() {
    let world = World::new(28);
    let wallet = world.enrolled(1).await;
    *world.faults.down.lock().unwrap() = [NodeIndex::ALL[1], NodeIndex::ALL[2]].into();
    assert_eq!(wallet.lock().await.unwrap_err(), WalletError::Refused(Refusal::NodesUnavailable));
    world.faults.down.lock().unwrap().clear();
    assert_eq!(wallet.row(NodeIndex::ALL[0]).await.unwrap().status, "active");
}

#[tokio::test]
async fn two_nodes_whose_rows_differ_sign_nothing_together() {
    let world = World::new(29);
    let mut wallet = world.enrolled(1).await;
    *world.faults.down.lock().unwrap() = [NodeIndex::ALL[2]].into();
    wallet.end_sessions().await.unwrap();
    world.faults.down.lock().unwrap().clear();
    let stale = world.sign_in(&mut wallet, SHOP, Pair::ALL[1]).await.unwrap_err();
    assert!(stale.is_about_one_node(), "{stale}");
    assert!(world.sign_in(&mut wallet, SHOP, Pair::ALL[0]).await.is_ok());
}

/// The device signs a statement under the label of another change: no node takes it, at any label.
#[tokio::test]
async fn an_assertion_under_one_label_is_worth_nothing_under_another() {
    let world = World::new(30);
    let (mut wallet, twin) = world.wallet_and_device();
    world.enrol(&mut wallet, &world.person(1)).await.unwrap();
    let row = wallet.row(NodeIndex::ALL[0]).await.unwrap();
    let t = hufu_kernel::Clock::now(world.clock.as_ref());
    let statement = Statement { version: row.version, head: row.head, t, change: Change::Leave {} };
    let bytes = serde_json::to_vec(&statement).unwrap();
    let ctx = hufu_pairwise::statement_context::<hufu_pairwise::Intl>(&bytes);
    for label in hufu_kernel::Label::ALL.iter().copied() {
        let chal = hufu_pairwise::challenge::<hufu_pairwise::Intl>(label, None, &[], &ctx, None, t);
        let assertion = hufu_wallet::Device::assert(&twin, &chal).await.unwrap();
        let request =
            SubmitStatement { statement: bytes.clone().into(), authority: Authority::Device(assertion), pair: None };
        let answer = world.nodes.at(NodeIndex::ALL[0]).submit(&request).await;
        if label == hufu_kernel::Label::Leave {
            assert!(answer.is_ok(), "the control: the right label is taken");
        } else if answer.is_ok() {
            panic!("{} was taken for leave", label.as_str());
        } else if label < hufu_kernel::Label::Leave {
            assert_eq!(answer.unwrap_err(), Refusal::ChallengeMismatch);
        }
    }
}

#[tokio::test]
async fn leaving_deletes_rows_and_contact_and_a_return_makes_a_new_root() {
    let world = World::new(31);
    let mut wallet = world.enrolled(1).await;
    let before = world.sign_in(&mut wallet, SHOP, Pair::ALL[0]).await.unwrap().payload.sub;
    wallet.leave().await.unwrap();
    for index in NodeIndex::ALL {
        assert_eq!(world.rows(index).await, (0, 0));
    }
    let back = world.enrolled(1).await;
    let mut back = back;
    assert_ne!(world.sign_in(&mut back, SHOP, Pair::ALL[0]).await.unwrap().payload.sub, before);
}

#[tokio::test]
async fn while_a_row_is_locked_the_other_device_can_neither_unlock_it_nor_put_out_the_one_that_locked() {
    let world = World::new(65);
    let mut owner = world.enrolled(1).await;
    let device = SoftwareDevice::generate(&world.trust.rp_id, super::world::WALLET, world.rng.as_ref()).unwrap();
    owner.add_device(&device).await.unwrap();
    let commitments = owner.state.commitments.clone();
    let state = State { commitments, ..State::default() };
    let (clock, rng) = (Arc::clone(&world.clock) as _, Arc::clone(&world.rng));
    let mut thief = Wallet::new(Arc::clone(&world.trust), world.network(), device, state, clock, rng).unwrap();
    thief.open_holder().await.unwrap();
    owner.lock().await.unwrap();
    let own = owner.row(NodeIndex::ALL[0]).await.unwrap().devices[0].credential;
    for outcome in [thief.unlock().await, thief.remove_device(own).await, thief.leave().await] {
        assert_eq!(outcome.unwrap_err(), WalletError::Refused(Refusal::LockedElsewhere));
    }
    // To lock again does not make it the thief's.
    thief.lock().await.unwrap();
    assert_eq!(thief.unlock().await.unwrap_err(), WalletError::Refused(Refusal::LockedElsewhere));
    owner.unlock().await.unwrap();
    assert!(world.sign_in(&mut owner, SHOP, Pair::ALL[0]).await.is_ok());
    let told: Vec<String> = world.phones.1.lock().unwrap().iter().map(|(_, template, _)| template.clone()).collect();
    assert_eq!(told, ["device-added", "locked", "unlocked"], "the person hears of each, once");
}
