//! flows 6: the nodes' signature. Commitments and shares are of one seeded run; verifiers need only key and signature.

use super::{frozen, h};
use crate::support::rng;
use hufu_kernel::{NodeIndex, Pair};
use hufu_pairwise::{DealtGroup, Signer, deal_group_key};
use serde_json::{Value, json};

fn signature(dealt: &DealtGroup, pair: Pair, message: &[u8]) -> Value {
    let signers = pair.members().map(|index| Signer::from_share(&dealt.shares[index.slot()]).expect("a share"));
    let (mut nonces, mut commitments) = (Vec::new(), Vec::new());
    let source = rng(pair.members().map(|index| u64::from(index.get())).iter().product());
    for signer in &signers {
        let (secret, public) = signer.commit(&source).expect("nonces");
        nonces.push(secret);
        commitments.push((signer.index(), public));
    }
    let shares: Vec<_> = signers
        .iter()
        .zip(nonces)
        .map(|(signer, nonces)| (signer.index(), signer.sign(nonces, message, &commitments).expect("a share")))
        .collect();
    let signature = dealt.key.aggregate(message, &commitments, &shares).expect("a signature");
    json!({
        "pair": pair.members().map(NodeIndex::get),
        "message": h(message),
        "commitments": commitments.iter().map(|(_, bytes)| h(&bytes.0)).collect::<Vec<_>>(),
        "shares": shares.iter().map(|(_, bytes)| h(&bytes.0)).collect::<Vec<_>>(),
        "signature": h(signature.0),
    })
}

#[test]
fn frost_vectors_are_frozen() {
    let dealt = deal_group_key(&rng(31)).expect("a key");
    frozen(
        "frost",
        &json!({
            "suite": "FROST(Ed25519, SHA-512)",
            "verifying_key": h(dealt.key.verifying_key.0),
            "verifying_shares": dealt.key.verifying_shares.map(|share| h(share.0)),
            "key_shares": dealt.shares.each_ref().map(|share| h(share.as_slice())),
            "signatures": Pair::ALL.map(|pair| signature(&dealt, pair, b"hufu result")),
        }),
    );
}
