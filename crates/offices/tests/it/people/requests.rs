//! Platforms that ask a person whom they know (decision 0029): the real nodes, and who reads what.

use super::outages::pair;
use super::world::{TestWallet, World};
use super::{ONE, THREE, TWO, refused};
use hufu_kernel::{Answer, Clock as _, NodeIndex, Octets, Refusal, Strength};
use hufu_offices::node::{OPEN_REQUESTS, PLATFORM_REQUESTS, REQUEST_SECONDS, TOLD_SECONDS};
use hufu_offices::ports::SubjectHandles as _;
use hufu_wire::api::handles::AskPerson;
use hufu_wire::subject_handle::{HandleHalf, HandleUse, SubjectHandle};

const SHOP: &str = "https://shop.example";

async fn handle_at(world: &World, wallet: &mut TestWallet, uses: &[HandleUse]) -> SubjectHandle {
    handle_of(world, wallet, SHOP, uses).await
}

/// What the registry signed of a platform.
fn certificate(world: &World, sector: &str, uses: &[HandleUse]) -> String {
    let mut certificate = world.ask(sector, &[Answer::Real], Strength::Certificate).certificate;
    certificate.registration.subject_handle = uses.to_vec();
    world.ask_with(certificate, &[Answer::Real], Strength::Certificate).transaction.certificate
}

async fn handle_of(world: &World, wallet: &mut TestWallet, sector: &str, uses: &[HandleUse]) -> SubjectHandle {
    let mut certificate = world.ask(sector, &[Answer::Real], Strength::Certificate).certificate;
    certificate.registration.subject_handle = uses.to_vec();
    let asked = world.ask_with(certificate, &[Answer::Real], Strength::Certificate);
    wallet.sign_in_with(&asked, &[Answer::Real], None, pair(ONE, TWO)).await.unwrap().handle.unwrap()
}

async fn ask(world: &World, at: (NodeIndex, HandleHalf), client_id: &str, tx: u8) -> Result<bool, Refusal> {
    let certificate = certificate(world, &format!("https://{client_id}"), &[HandleUse::Ciba]);
    ask_as(world, at, certificate, tx).await
}

async fn ask_as(
    world: &World,
    (node, half): (NodeIndex, HandleHalf),
    certificate: String,
    tx: u8,
) -> Result<bool, Refusal> {
    let exp = world.clock.now() + 600;
    let ask = AskPerson { certificate, half, tx: Octets([tx; 32]), secret: Octets([tx + 100; 32]), exp };
    world.nodes.at(node).ask_person(&ask).await
}

/// What was sent to phones, once what a node does by itself is done.
async fn told(world: &World) -> Vec<String> {
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    world.phones.1.lock().unwrap().iter().map(|(_, template, _)| template.clone()).collect()
}

#[tokio::test]
async fn a_person_reads_what_two_nodes_were_asked_and_is_told_once_without_a_name() {
    let world = World::new(411);
    let (mut wallet, stranger) = (world.enrolled(1).await, world.enrolled(2).await);
    let handle = handle_at(&world, &mut wallet, &[HandleUse::Ciba]).await;
    for part in handle.parts() {
        assert_eq!(ask(&world, part, "shop.example", 1).await, Ok(true));
    }
    assert_eq!(told(&world).await, ["sign-in-waiting"], "both nodes' message is one");
    assert!(world.phones.1.lock().unwrap().iter().all(|(_, _, value)| value.is_empty()), "and names nobody");
    let requests = wallet.requests().await.unwrap();
    assert_eq!(requests.len(), 1);
    assert_eq!((requests[0].tx, requests[0].secret), (Octets([1; 32]), Octets([101; 32])));
    assert_eq!(requests[0].exp, world.clock.now() + REQUEST_SECONDS, "minutes, whatever the front says");
    stranger.open_holder().await.unwrap();
    assert_eq!(stranger.requests().await.unwrap(), Vec::new());
    // What one node alone says is not shown.
    world.clock.advance(REQUEST_SECONDS);
    wallet.open_holder().await.unwrap();
    assert_eq!(wallet.requests().await.unwrap(), Vec::new(), "it has ended");
    assert_eq!(ask(&world, handle.parts()[0], "shop.example", 2).await, Ok(true));
    assert_eq!(wallet.requests().await.unwrap(), Vec::new());
    assert_eq!(told(&world).await.len(), 1, "no second message within ten minutes");
    world.clock.advance(TOLD_SECONDS);
    for part in handle.parts() {
        assert_eq!(ask(&world, part, "shop.example", 3).await, Ok(true));
    }
    assert_eq!(told(&world).await.len(), 2);
    // A quarter of an hour after the device was last asked.
    world.clock.advance(901);
    assert_eq!(refused(wallet.requests().await.unwrap_err()), Refusal::HolderKeyRefused);
    wallet.open_holder().await.unwrap();
    assert_eq!(wallet.requests().await.unwrap(), Vec::new());
}

#[tokio::test]
async fn a_platform_cannot_pester_a_person() {
    let world = World::new(412);
    let mut wallet = world.enrolled(1).await;
    let parts = handle_at(&world, &mut wallet, &[HandleUse::Ciba]).await.parts();
    let ask = async |tx: u8| {
        for part in parts {
            assert_eq!(ask(&world, part, "shop.example", tx).await, Ok(true), "{tx}");
        }
        wallet.open_holder().await.unwrap();
        wallet.requests().await.unwrap().iter().map(|request| request.tx.0[0]).collect::<Vec<u8>>()
    };
    assert_eq!(ask(1).await, [1]);
    assert_eq!(ask(2).await, [2], "one at a time");
    for one in 1..PLATFORM_REQUESTS {
        world.clock.advance(REQUEST_SECONDS);
        assert_eq!(ask(3).await, [3], "{one}");
    }
    world.clock.advance(REQUEST_SECONDS);
    assert_eq!(ask(4).await, [0; 0], "three in an hour, and the platform is not told");
    assert_eq!(told(&world).await.len(), 2, "one message in ten minutes");
}

/// Two platforms that mean one person would otherwise see it: the second is refused what the first had, or is answered sooner since the
/// person has been told.
#[tokio::test]
async fn what_other_platforms_asked_of_a_person_shows_in_no_answer() {
    let world = World::new(414);
    let mut wallet = world.enrolled(1).await;
    let mut parts = Vec::new();
    for name in 0..OPEN_REQUESTS + 2 {
        let sector = format!("https://shop-{name}.example");
        parts.push((name, handle_of(&world, &mut wallet, &sector, &[HandleUse::Ciba]).await.parts()));
    }
    for (name, parts) in &parts {
        for part in *parts {
            let tx = u8::try_from(*name).unwrap() + 1;
            assert_eq!(ask(&world, part, &format!("shop-{name}.example"), tx).await, Ok(true), "{name}");
        }
    }
    wallet.open_holder().await.unwrap();
    assert_eq!(wallet.requests().await.unwrap().len(), OPEN_REQUESTS, "the control: the last two found no room");
    // No answer waits for the message: post does nothing before this task pauses.
    let mut other = world.enrolled(2).await;
    let half = handle_at(&world, &mut other, &[HandleUse::Ciba]).await.parts()[0];
    let before = told(&world).await.len();
    assert_eq!(ask(&world, half, "shop.example", 9).await, Ok(true));
    assert_eq!(world.phones.1.lock().unwrap().len(), before, "answered before anybody is told");
    assert_eq!(told(&world).await.len(), before + 1);
}

#[tokio::test]
async fn a_half_asks_nobody_for_another_platform_another_use_or_after_the_person_signed_out_everywhere() {
    let world = World::new(413);
    let mut wallet = world.enrolled(1).await;
    let handle = handle_at(&world, &mut wallet, &[HandleUse::Ciba]).await;
    let [(one, half), (two, _)] = handle.parts();
    assert_eq!(ask(&world, (one, half), "forum.example", 1).await, Ok(false), "another platform");
    assert_eq!(ask(&world, (two, half), "shop.example", 1).await, Ok(false), "another node's");
    assert_eq!(ask(&world, (THREE, half), "shop.example", 1).await, Ok(false), "the node that took no part");
    assert_eq!(ask(&world, (one, Octets([0; 86])), "shop.example", 1).await, Ok(false), "none at all");
    let other = handle_at(&world, &mut wallet, &[HandleUse::Refresh, HandleUse::Signals]).await.parts()[0];
    assert_eq!(ask(&world, other, "shop.example", 1).await, Ok(false), "another use");
    assert!(told(&world).await.is_empty());
    wallet.end_sessions().await.unwrap();
    assert_eq!(ask(&world, (one, half), "shop.example", 1).await, Ok(false), "sessions were ended");
    let fresh = handle_at(&world, &mut wallet, &[HandleUse::Ciba]).await.parts()[0];
    wallet.lock().await.unwrap();
    assert_eq!(ask(&world, fresh, "shop.example", 1).await, Ok(false), "locked");
    wallet.unlock().await.unwrap();
    // By the registry's word and not the front's.
    let good = certificate(&world, SHOP, &[HandleUse::Ciba]);
    let (input, _) = good.rsplit_once('.').unwrap();
    for unsigned in [format!("{input}.{}", hufu_kernel::b64(&[7; 64])), "shop.example".to_owned(), String::new()] {
        assert_eq!(ask_as(&world, fresh, unsigned, 1).await, Err(Refusal::PlatformUnknown));
    }
    let other_uses = certificate(&world, SHOP, &[HandleUse::Refresh, HandleUse::Signals]);
    assert_eq!(ask_as(&world, fresh, other_uses, 1).await, Err(Refusal::OverAsking), "it may ask nobody any more");
    assert_eq!(ask(&world, fresh, "shop.example", 1).await, Ok(true), "the control");
}
