//! flows 3: both threshold OPRFs.

use super::{filled, frozen, h, hmac};
use crate::oprf::{BLIND, RFC, SK, rfc_blind};
use crate::support::{GivenRng, rng};
use hufu_kernel::{Element, NodeIndex, Octets, Pair, Partial, Secret, Subset};
use hufu_pairwise::{
    Blinded, combine_shamir, combine_sum, deal_tag_key, finalize, oprf_blind, oprf_commitment, oprf_evaluate,
    oprf_verify, password_sub_key, sum_sub_keys, tag_input,
};
use serde_json::{Map, Value, json};

fn part(partial: &Partial) -> Value {
    json!({ "element": h(&partial.element.0.0), "c": h(partial.proof.c.0), "s": h(partial.proof.s.0) })
}

/// A blinding factor of a vector; with a zero byte in front it is below the order of ristretto255.
fn blinding(label: &str) -> ([u8; 32], GivenRng) {
    let mut r = filled(label);
    r[0] = 0;
    let rng = GivenRng::scalar(&r);
    r.reverse();
    (r, rng)
}

fn tag() -> Value {
    let dealt = deal_tag_key(&rng(21));
    let input = tag_input("CHN", "resident_id", "11010119900307451X").expect("an input");
    let (r, given) = blinding("tag blinding factor");
    let (state, blinded) = oprf_blind(&input, &given).expect("an input");
    let parts = NodeIndex::ALL.map(|i| {
        let partial = oprf_evaluate(&dealt.shares[i.slot()], &blinded, &rng(u64::from(i.get()))).expect("canonical");
        oprf_verify(&partial, &[&dealt.commitments[i.slot()]], &blinded).expect("honest");
        partial
    });
    let whole = Pair::ALL
        .map(|pair| combine_shamir(&pair.members().map(|i| (i, parts[i.slot()].element.clone()))).expect("two"));
    assert!(whole.iter().all(|e| *e == whole[0]));
    json!({
        "country": "CHN", "type": "resident_id", "number": "11010119900307451X",
        "input": h(&*input),
        "shares": dealt.shares.each_ref().map(|share| h(share.expose())),
        "commitments": dealt.commitments.each_ref().map(|c| h(&c.0.0)),
        "public": h(&dealt.public.0.0),
        "blind": h(r),
        "blinded": h(blinded.0),
        "partials": parts.each_ref().map(part),
        "evaluated": h(&whole[0].0.0),
        "tag": h(*finalize(&input, &state, &whole[0]).expect("canonical")),
    })
}

fn pair_parts(pair: Pair, keys: &[Secret<32>; 3], blinded: &Octets<32>) -> (Value, Element) {
    let (mut texts, mut elements) = (Vec::new(), Vec::new());
    for index in pair.members() {
        let assigned: Vec<Subset> = pair.assigned(index).collect();
        let sum = sum_sub_keys(&assigned.iter().map(|a| &keys[a.slot()]).collect::<Vec<_>>()).expect("canonical");
        let partial = oprf_evaluate(&sum, blinded, &rng(u64::from(index.get()))).expect("canonical");
        let subsets: Vec<_> = assigned.iter().map(|a| a.name()).collect();
        texts.push(json!({ "node": index, "subsets": subsets, "partial": part(&partial) }));
        elements.push(partial.element);
    }
    let whole = combine_sum(&elements.iter().collect::<Vec<_>>()).expect("two");
    (json!({ "pair": pair.members().map(NodeIndex::get), "parts": texts }), whole)
}

fn password() -> Value {
    let by_subset = |value: &dyn Fn(Subset) -> Value| -> Value {
        Subset::ALL.into_iter().map(|a| (a.name().to_owned(), value(a))).collect::<Map<_, _>>().into()
    };
    let root = filled("root one");
    let kp = Subset::ALL.map(|a| filled(&format!("KP_{} generation 1", a.name())));
    let prfs = kp.each_ref().map(|key| hmac(key, &root));
    let keys = prfs.each_ref().map(password_sub_key);
    let (r, given) = blinding("password blinding factor");
    let (state, blinded): (Blinded, Octets<32>) = oprf_blind(b"19283746", &given).expect("an input");
    let (texts, wholes): (Vec<_>, Vec<_>) = Pair::ALL.map(|pair| pair_parts(pair, &keys, &blinded)).into_iter().unzip();
    assert!(wholes.iter().all(|e| *e == wholes[0]));
    json!({
        "h2s_dst": "HUFU-V1-H2S-RISTRETTO255",
        "root_u": h(root),
        "keys": by_subset(&|a| h(kp[a.slot()])),
        "prf": by_subset(&|a| h(prfs[a.slot()])),
        "sub_keys": by_subset(&|a| h(keys[a.slot()].expose())),
        "commitments": by_subset(&|a| h(&oprf_commitment(&keys[a.slot()]).expect("canonical").0.0)),
        "password": "19283746",
        "blind": h(r),
        "blinded": h(blinded.0),
        "pairs": texts,
        "evaluated": h(&wholes[0].0.0),
        "y": h(*finalize(b"19283746", &state, &wholes[0]).expect("canonical")),
    })
}

fn rfc() -> Value {
    let key = Secret::new(crate::support::unhex(SK).try_into().expect("32"));
    let cases = RFC.map(|[input, blinded, evaluated, output]| {
        let bytes = crate::support::unhex(input);
        let (state, element) = oprf_blind(&bytes, &rfc_blind()).expect("an input");
        let whole = oprf_evaluate(&key, &element, &rng(1)).expect("canonical").element;
        assert_eq!((h(element.0), h(&whole.0.0)), (blinded.into(), evaluated.into()));
        assert_eq!(h(*finalize(&bytes, &state, &whole).expect("canonical")), output);
        json!({ "input": input, "blinded": blinded, "evaluated": evaluated, "output": output })
    });
    json!({ "source": "RFC 9497 appendix A.1.1", "sk": SK, "blind": BLIND, "cases": cases })
}

#[test]
fn oprf_vectors_are_frozen() {
    frozen(
        "oprf",
        &json!({
            "suite": "ristretto255-SHA512",
            "mode": 0,
            "dleq_dst": "HUFU-V1-DLEQ-RISTRETTO255",
            "rfc9497": rfc(),
            "tag": tag(),
            "password": password(),
        }),
    );
}
