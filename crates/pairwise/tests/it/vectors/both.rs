//! Decision 0011: one proof for the two evaluations of a sign-in.

use super::{filled, frozen, h, hmac};
use crate::support::{GivenRng, Person, rng};
use hufu_kernel::{Element, NodeIndex, Pair, Subset, framed};
use hufu_pairwise::{
    Group, Intl, Suite, blind, element, epoch_message, evaluate_both, point, sector_point, verify_both,
};
use serde_json::{Map, Value, json};

type Point = <Intl as Group>::Point;

fn sum(commitments: &[&Element]) -> Element {
    let mut points = commitments.iter().map(|c| point::<Intl>(c).expect("a point"));
    let first = points.next().expect("one at least");
    element::<Intl>(&points.fold(first, |sum, point| Intl::add(&sum, &point)))
}

fn part(keys: [&Person<Intl>; 2], pair: Pair, index: NodeIndex, base: &Point) -> Value {
    let [x1, x2] = keys.map(|keys| keys.assigned(pair, index));
    let both = evaluate_both::<Intl>(&x1, &x2, base, &rng(u64::from(index.get())));
    let committed = keys.map(|keys| keys.commitments(pair, index));
    verify_both::<Intl>(&both, &committed[0], &committed[1], base).expect("honest");
    let sums = committed.map(|list| sum(&list));
    let transcript = framed(&[
        b"hufu-v1-dleq-both",
        b"INTL",
        &Intl::compress(&Intl::generator()),
        &sums[0].0.0,
        &sums[1].0.0,
        &Intl::compress(base),
        &both.pseudonym.0.0,
        &both.epoch.0.0,
    ]);
    let weight = Intl::hash_to_field(&transcript, b"HUFU-V1-DLEQ-WEIGHT-INTL");
    json!({
        "node": index,
        "subsets": pair.assigned(index).map(Subset::name).collect::<Vec<_>>(),
        "transcript": h(&transcript),
        "weight": h(*Intl::scalar_to_bytes(&weight)),
        "pseudonym": h(&both.pseudonym.0.0),
        "epoch": h(&both.epoch.0.0),
        "c": h(both.proof.c.0),
        "s": h(both.proof.s.0),
    })
}

fn case(keys: [&Person<Intl>; 2], level: &str, base: &Point) -> Value {
    let pairs: Vec<_> = Pair::ALL
        .into_iter()
        .map(|pair| {
            let parts: Vec<_> = pair.members().into_iter().map(|index| part(keys, pair, index, base)).collect();
            json!({ "pair": pair.members().map(NodeIndex::get), "parts": parts })
        })
        .collect();
    json!({ "level": level, "base": h(Intl::compress(base)), "pairs": pairs })
}

#[test]
fn vectors_of_both_evaluations_are_frozen() {
    // The person 0, sector and epoch of pseudonym.json.
    let keys = ["12", "13", "23"].map(|a| filled(&format!("K_{a} generation 1")));
    let root = filled("root one");
    let epoch = &filled("epoch one")[..16];
    let message = epoch_message(&root, epoch);
    let pseudonym = Person::<Intl>::new(&keys.each_ref().map(|key| hmac(key, &root)));
    let of_epoch = Person::<Intl>::new(&keys.each_ref().map(|key| hmac(key, &message)));
    let sector_id = "https://shop.example";
    let mut r = filled("blinding factor");
    r[0] = 0;
    let (b, _) = blind::<Intl>(sector_id, &GivenRng::scalar(&r));
    let c = |person: &Person<Intl>| {
        Subset::ALL
            .into_iter()
            .map(|a| (a.name().to_owned(), h(&person.c[a.slot()].0.0)))
            .collect::<Map<String, Value>>()
    };
    frozen(
        "both",
        &json!({
            "suite": Intl::ID,
            "weight_dst": "HUFU-V1-DLEQ-WEIGHT-INTL",
            "challenge_dst": "HUFU-V1-DLEQ-BOTH-INTL",
            "generator": h(Intl::compress(&Intl::generator())),
            "root_u": h(root),
            "epoch": h(epoch),
            "sector_id": sector_id,
            "c_pseudonym": c(&pseudonym),
            "c_epoch": c(&of_epoch),
            "cases": [
                case([&pseudonym, &of_epoch], "direct", &sector_point::<Intl>(sector_id)),
                case([&pseudonym, &of_epoch], "blind", &point::<Intl>(&b).expect("a point")),
            ],
        }),
    );
}
