//! A ceremony's words between offices: who brings them, who may look at them, and that none is lost or put into another's mouth.

use super::world::*;
use hufu_kernel::{Octets, Refusal};
use hufu_offices::ceremony::post::{Courier, Mailbox};
use hufu_web::peers::ceremony::{PeerCourier, Post, ceremony};
use hufu_web::peers::{self, Peers};
use hufu_wire::api::ceremony::{Delivery, Inbox, Inboxed, Message, Said};
use hufu_wire::api::roster::OFFICES;
use hufu_wire::api::{Signed, SignedError};
use std::collections::BTreeMap;
use std::sync::Arc;

const MESSAGE: &str = "/office/v1/ceremony/message";
const INBOX: &str = "/office/v1/ceremony/inbox";
const CEREMONY: Octets<32> = Octets([7; 32]);

fn word(world: &World, office: &str) -> Delivery {
    let message =
        Message { ceremony: CEREMONY, round: 1, heard: Octets([0; 32]), said: Said::Parts, sealed: BTreeMap::new() };
    let keys = &world.offices[office].keys;
    let message =
        Signed::make(office, &message, |bytes| keys.sign_ed25519("office", bytes).map_err(|_| SignedError::Signature));
    Delivery { message: message.unwrap(), part: None }
}

async fn served(world: &World, post: Arc<Post>) -> Served {
    let edge = edge();
    let routes = hufu_web::serve::finished(&edge, peers::router(&edge, &post, ceremony()));
    world.serve("node-1", routes).await
}

#[tokio::test]
async fn an_offices_word_comes_from_that_office_and_an_inbox_is_its_own_offices_alone() {
    let world = World::new();
    let mailbox = Arc::<Mailbox>::default();
    let node = served(&world, Post::new("node-1", Arc::clone(&mailbox), world.roster.hash())).await;
    let two = world.peer("node-2", "node-1", node.port);
    // Under its own certificate an office brings its own word, never another's, be it signed ever so well.
    assert_eq!(two.call::<_, ()>(MESSAGE, &word(&world, "node-3")).await, Err(Refusal::Malformed));
    assert!(mailbox.since(&CEREMONY, 1, &OFFICES).is_empty());
    two.call::<_, ()>(MESSAGE, &word(&world, "node-2")).await.unwrap();
    two.call::<_, ()>(MESSAGE, &word(&world, "node-2")).await.unwrap();
    assert_eq!(mailbox.since(&CEREMONY, 1, &OFFICES).len(), 1);
    let asked = Inbox { ceremony: CEREMONY, round: 1, parties: vec!["node-2".to_owned()] };
    assert_eq!(two.call::<_, Inboxed>(INBOX, &asked).await, Err(Refusal::OfficeRefused));
    // The office itself, from another process, fetches it as often as it likes.
    let addresses = BTreeMap::from([
        ("node-1".to_owned(), format!("127.0.0.1:{}", node.port)),
        ("node-2".to_owned(), "127.0.0.1:1".to_owned()),
    ]);
    let own = Peers::new(world.leaf("node-1"), world.roster.clone(), &addresses, hasty(), None).unwrap();
    let courier = PeerCourier::beside(&own, "node-1", &["node-1", "node-2"]).unwrap();
    // Whoever takes no part may say what it likes.
    let front = world.peer("front", "node-1", node.port);
    front.call::<_, ()>(MESSAGE, &word(&world, "front")).await.unwrap();
    assert_eq!(mailbox.since(&CEREMONY, 1, &OFFICES).len(), 2);
    for _ in 0..2 {
        let arrived = courier.collect(&CEREMONY, 1).await.unwrap();
        assert_eq!(arrived.iter().map(|arrived| arrived.from.as_str()).collect::<Vec<_>>(), ["node-2"]);
    }
    assert!(courier.collect(&CEREMONY, 2).await.unwrap().is_empty());
    // Who serves the office says by which roster: another one is told before anybody waits.
    courier.same_roster(&CEREMONY, &world.roster.hash()).await.unwrap();
    let told = courier.same_roster(&CEREMONY, &Octets([9; 32])).await.unwrap_err();
    assert!(told.contains("serves node-1") && told.contains("restart it"), "{told}");
    // Whom it cannot reach it names, with the address and what to do.
    let told = courier.bring("node-2", &word(&world, "node-1")).await.unwrap_err();
    assert!(told.contains("not reached at 127.0.0.1:1") && told.contains("must run"), "{told}");
}

#[tokio::test]
async fn who_takes_no_part_is_not_heard() {
    let world = World::new();
    let mailbox = Arc::<Mailbox>::default();
    let parties = vec!["node-1", "node-2", "node-3"];
    let node = served(&world, Post::of_parties("node-1", Arc::clone(&mailbox), world.roster.hash(), parties)).await;
    let front = world.peer("front", "node-1", node.port);
    assert_eq!(front.call::<_, ()>(MESSAGE, &word(&world, "front")).await, Err(Refusal::OfficeRefused));
    assert!(mailbox.since(&CEREMONY, 1, &OFFICES).is_empty());
    let two = world.peer("node-2", "node-1", node.port);
    two.call::<_, ()>(MESSAGE, &word(&world, "node-2")).await.unwrap();
    assert_eq!(mailbox.since(&CEREMONY, 1, &OFFICES).len(), 1);
}
