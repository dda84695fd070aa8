//! flows 1.

use super::{filled, frozen, h, hmac};
use crate::support::{GivenRng, Person, rng};
use hufu_kernel::{Element, NodeIndex, Pair, Partial, Subset};
use hufu_pairwise::{
    Group, Intl, Suite, blind, combine, ep, epoch_message, point, sector_point, sub, sub_key, sum_scalars, unblind,
    validate_sector_id, verify_partial,
};
use serde_json::{Map, Value, json};

type Scalar = <Intl as Group>::Scalar;
type Point = <Intl as Group>::Point;

const SECTORS: [&str; 3] = ["https://shop.example", "https://xn--fiq228c.example", "urn:hufu:sector:city-services"];

fn scalar(x: &Scalar) -> Value {
    h(*Intl::scalar_to_bytes(x))
}

fn by_subset(value: impl Fn(Subset) -> Value) -> Value {
    Subset::ALL.into_iter().map(|a| (a.name().to_owned(), value(a))).collect::<Map<_, _>>().into()
}

fn part(partial: &Partial) -> Value {
    json!({ "element": h(&partial.element.0.0), "c": h(partial.proof.c.0), "s": h(partial.proof.s.0) })
}

/// Each pair's two parts over `base`, checked and summed to `whole`.
fn pairs(person: &Person<Intl>, base: &Point, whole: &Point) -> Value {
    let one = |pair: Pair| {
        let (mut parts, mut sums) = (Vec::new(), Vec::new());
        for index in pair.members() {
            let partial = person.partial(pair, index, base, &rng(u64::from(index.get())));
            let commitments: Vec<&Element> = person.commitments(pair, index);
            sums.push(verify_partial::<Intl>(&partial, &commitments, base).expect("honest"));
            let subsets: Vec<_> = pair.assigned(index).map(Subset::name).collect();
            parts.push(json!({ "node": index, "subsets": subsets, "partial": part(&partial) }));
        }
        assert_eq!(&combine::<Intl>(&sums).expect("two"), whole);
        json!({ "pair": pair.members().map(NodeIndex::get), "parts": parts })
    };
    Pair::ALL.into_iter().map(one).collect::<Vec<_>>().into()
}

fn sector(person: &Person<Intl>, k: &Scalar, id: &str) -> Value {
    validate_sector_id(id).expect("a sector id");
    let base = sector_point::<Intl>(id);
    let p = Intl::mul(k, &base);
    json!({
        "sector_id": id,
        "h2g": h(Intl::compress(&base)),
        "p": h(Intl::compress(&p)),
        "sub": sub::<Intl>(&p),
        "pairs": pairs(person, &base, &p),
    })
}

fn blinded(person: &Person<Intl>, k: &Scalar, id: &str) -> Value {
    let mut r = filled("blinding factor");
    r[0] = 0;
    let (b, r) = blind::<Intl>(id, &GivenRng::scalar(&r));
    let base = point::<Intl>(&b).expect("a point");
    let e = Intl::mul(k, &base);
    let p = unblind(&r, &e).expect("not zero");
    json!({
        "sector_id": id,
        "r": h(*r.to_bytes()),
        "b": h(&b.0.0),
        "e": h(Intl::compress(&e)),
        "p": h(Intl::compress(&p)),
        "sub": sub::<Intl>(&p),
        "pairs": pairs(person, &base, &e),
    })
}

fn epoch(keys: &[[u8; 32]; 3], root: &[u8; 32], label: &str, id: &str) -> Value {
    let epoch = &filled(label)[..16];
    let message = epoch_message(root, epoch);
    let prfs = keys.each_ref().map(|key| hmac(key, &message));
    let person = Person::<Intl>::new(&prfs);
    let k = sum_scalars::<Intl>(&person.e).expect("three");
    let base = sector_point::<Intl>(id);
    let p = Intl::mul(&k, &base);
    json!({
        "epoch": h(epoch),
        "message": h(&message),
        "prf": by_subset(|a| h(prfs[a.slot()])),
        "e": by_subset(|a| scalar(&person.e[a.slot()])),
        "c": by_subset(|a| h(&person.c[a.slot()].0.0)),
        "k": scalar(&k),
        "sector_id": id,
        "p": h(Intl::compress(&p)),
        "ep": ep::<Intl>(&p),
        "pairs": pairs(&person, &base, &p),
    })
}

/// `d` as row offsets; `None` while they are zero.
fn person(keys: &[[u8; 32]; 3], root: &[u8; 32], d: Option<&[Scalar; 3]>) -> (Person<Intl>, Value) {
    let prfs = keys.each_ref().map(|key| hmac(key, root));
    let e = [0, 1, 2].map(|a| {
        let offset = d.map(|d| Intl::scalar_to_bytes(&d[a]));
        sub_key::<Intl>(&prfs[a], offset.as_ref().map(|bytes| bytes.as_slice())).expect("canonical")
    });
    let person = Person::<Intl>::of(e);
    let k = sum_scalars::<Intl>(&person.e).expect("three");
    let text = json!({
        "root_u": h(root),
        "keys": by_subset(|a| h(keys[a.slot()])),
        "prf": by_subset(|a| h(prfs[a.slot()])),
        "h2s": by_subset(|a| scalar(&Intl::hash_to_scalar(&prfs[a.slot()]))),
        "d": d.map(|d| by_subset(|a| scalar(&d[a.slot()]))),
        "e": by_subset(|a| scalar(&person.e[a.slot()])),
        "c": by_subset(|a| h(&person.c[a.slot()].0.0)),
        "k_u": scalar(&k),
        "sectors": SECTORS.map(|id| sector(&person, &k, id)),
        "blind": blinded(&person, &k, SECTORS[0]),
        "epochs": [epoch(keys, root, "epoch one", SECTORS[0]), epoch(keys, root, "epoch two", SECTORS[0])],
    });
    (person, text)
}

/// Offsets that put e_A of `old` back under `new` keys, re-shared by a zero sum.
fn offsets(old: &Person<Intl>, new: &[[u8; 32]; 3], root: &[u8; 32]) -> [Scalar; 3] {
    let (one, zero) = (Intl::scalar_one(), Intl::scalar_from_bytes(&[0; 32]).expect("zero"));
    let z = ["zero sum one", "zero sum two"].map(|label| Intl::hash_to_scalar(&filled(label)));
    let last = Intl::scalar_sub_mul(&Intl::scalar_sub_mul(&zero, &one, &z[0]), &one, &z[1]);
    let zero_sum = [z[0].clone(), z[1].clone(), last];
    [0, 1, 2].map(|a| {
        let fresh = sub_key::<Intl>(&hmac(&new[a], root), None).expect("no offset");
        Intl::scalar_add(&Intl::scalar_sub_mul(&old.e[a], &one, &fresh), &zero_sum[a])
    })
}

#[test]
fn pseudonym_vectors_are_frozen() {
    let keys = |generation: u8| ["12", "13", "23"].map(|a| filled(&format!("K_{a} generation {generation}")));
    let roots = [filled("root one"), filled("root two")];
    let (first, one) = person(&keys(1), &roots[0], None);
    let (_, two) = person(&keys(1), &roots[1], None);
    let d = offsets(&first, &keys(2), &roots[0]);
    let (_, moved) = person(&keys(2), &roots[0], Some(&d));
    assert_eq!(moved["k_u"], one["k_u"]);
    assert_eq!(moved["sectors"][0]["sub"], one["sectors"][0]["sub"]);
    let h2s: Vec<_> = ["", "abc"]
        .into_iter()
        .map(|msg| json!({ "msg": h(msg), "scalar": scalar(&Intl::hash_to_scalar(msg.as_bytes())) }))
        .collect();
    let h2g: Vec<_> = ["", "abc"]
        .into_iter()
        .map(|msg| json!({ "msg": h(msg), "point": h(Intl::compress(&Intl::hash_to_group(msg.as_bytes()))) }))
        .collect();
    let g = h(Intl::compress(&Intl::generator()));
    frozen(
        "pseudonym",
        &json!({
            "suite": Intl::ID,
            "h2s_dst": "HUFU-V1-H2S-INTL",
            "h2g_dst": "BBS_BLS12381G1_XMD:SHA-256_SSWU_RO_H2G_HM2S_PSEUDONYM_",
            "dleq_dst": "HUFU-V1-DLEQ-INTL",
            "generator": g,
            "h2s": h2s,
            "h2g": h2g,
            "persons": [one, two, moved],
            "sector_ids": sector_ids(),
        }),
    );
}

fn sector_ids() -> Value {
    let good = ["https://shop.example", "https://xn--fiq228c.example", "https://localhost", "urn:hufu:sector:a-b_c.1"];
    let bad = [
        "http://shop.example",
        "https://Shop.example",
        "https://shop.example/",
        "https://shop.example:443",
        "https://shop.example.",
        "https://127.0.0.1",
        "urn:hufu:sector:",
        "urn:hufu:sector:A",
    ];
    assert!(good.iter().all(|id| validate_sector_id(id).is_ok()));
    assert!(bad.iter().all(|id| validate_sector_id(id).is_err()));
    json!({ "good": good, "bad": bad })
}
