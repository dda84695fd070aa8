//! Asking whom a platform knows by a subject handle, and what is left where nobody is reached.

use super::*;

/// A code that was used up, or a person who was asked, for a request that there is no room for would be lost.
#[tokio::test]
async fn a_request_that_there_is_no_room_for_uses_no_code_up_and_asks_no_node() {
    // Four transactions: one for each platform.
    let world = World::with_capacity(4);
    let centre = centre(&world);
    let waiting = world.front.wait().unwrap();
    let first = world.front.wait().unwrap();
    let id = centre.asked(&world, &first.code).await;
    for hint in [waiting.code.clone(), handle_of(5).to_string()] {
        let reply = world.send(&centre.ask(&world, &hint, |_| {})).await;
        assert_eq!(error_of(&reply), "503 temporarily_unavailable");
    }
    assert_eq!(world.front.found(&LookWaiting { secret: waiting.secret }).unwrap().tx, None);
    assert!(world.nodes.iter().all(|node| node.told.lock().unwrap().is_empty()));
    asked(&world, &first).agree(&world).await.unwrap();
    assert_eq!(centre.look(&world, &id).await.status, 200);
    // There is room again, and the code is good.
    centre.asked(&world, &waiting.code).await;
}

/// One that no node answers for has its places back at once: a platform asks again, as often as it likes.
#[tokio::test]
async fn a_request_that_reaches_nobody_leaves_nothing_behind() {
    let world = World::with_capacity(4);
    let centre = centre(&world);
    let handle = handle_of(5).to_string();
    for said in [Err(Refusal::NodesUnavailable), Ok(None), Err(Refusal::NodesUnavailable)] {
        *world.nodes[2].says.lock().unwrap() = said;
        let reply = world.send(&centre.ask(&world, &handle, |_| {})).await;
        assert!(["503 temporarily_unavailable", "400 unknown_user_id"].contains(&error_of(&reply).as_str()));
    }
    // The first node was asked each time: what its person's wallet were to open is gone.
    let told = world.nodes[0].told.lock().unwrap().clone();
    assert_eq!(told.len(), 3);
    for ask in &told {
        let refusal = RefuseWaiting { tx: ask.tx, secret: ask.secret };
        assert_eq!(world.front.refuse_waiting(&refusal), Err(Refusal::TransactionGone));
    }
    world.nodes[2].say(|_| {});
    centre.asked(&world, &handle).await;
}

/// By a subject handle: both nodes are asked, and what they were told is what answers.
#[tokio::test]
async fn a_person_whom_the_platform_knows_is_asked_through_both_nodes_of_the_handle() {
    let world = World::new();
    let nodes = &world.nodes;
    let centre = centre(&world);
    let handle = handle_of(5);
    let id = centre.asked(&world, &handle.to_string()).await;
    let told: Vec<usize> = nodes.iter().map(|node| node.told.lock().unwrap().len()).collect();
    assert_eq!(told, [1, 0, 1]);
    let request = nodes[0].told.lock().unwrap()[0].clone();
    assert_eq!((asker(&request.certificate).as_str(), request.half), ("centre", handle.halves[0]));
    let wallet = Asked { secret: request.secret, transaction: world.fetch(&b64(request.tx.as_slice())) };
    wallet.agree(&world).await.unwrap();
    assert_eq!(centre.look(&world, &id).await.status, 200);

    // Nodes keep it for five minutes, and the platform is told no other end.
    let ask = centre.ask(&world, &handle.to_string(), |claims| claims["requested_expiry"] = json!(600));
    assert_eq!(body(&world.send(&ask).await)["expires_in"], json!(300));
    assert_eq!(nodes[0].told.lock().unwrap().last().unwrap().exp, world.now() + 300);
    let by_code = centre.ask(&world, &world.front.wait().unwrap().code, |claims| {
        claims["requested_expiry"] = json!(600);
    });
    assert_eq!(body(&world.send(&by_code).await)["expires_in"], json!(600), "the control");

    // One node that does not know it, or does not answer.
    *nodes[2].says.lock().unwrap() = Ok(None);
    let reply = world.send(&centre.ask(&world, &handle.to_string(), |_| {})).await;
    assert_eq!(error_of(&reply), "400 unknown_user_id");
    *nodes[2].says.lock().unwrap() = Err(Refusal::NodesUnavailable);
    let reply = world.send(&centre.ask(&world, &handle.to_string(), |_| {})).await;
    assert_eq!(error_of(&reply), "503 temporarily_unavailable");
}

#[tokio::test]
async fn a_handle_of_who_did_not_register_that_use_is_nobody() {
    let world = World::new();
    let nodes = &world.nodes;
    let mut without = registration(DeliveryMode::Poll);
    without.subject_handle = vec![HandleUse::Refresh];
    let rp = world.fapi_with("centre", Alg::EdDSA, without);
    let ClientAuth::PrivateKeyJwt(key) = &rp.auth else { panic!("a key") };
    let key = copy(key);
    let centre = Centre { rp, key };
    let reply = world.send(&centre.ask(&world, &handle_of(5).to_string(), |_| {})).await;
    assert_eq!(error_of(&reply), "400 unknown_user_id");
    assert!(nodes.iter().all(|node| node.told.lock().unwrap().is_empty()), "no node was asked");
}
