//! flows 1 and decision 0017: a person and an epoch of theirs at generations 0, 1 and 2 of K_A, with one sum throughout.

use super::{filled, frozen, h, hmac};
use hufu_kernel::{Element, Subset};
use hufu_pairwise::{
    Group, Intl, Suite, commitment, ep, epoch_message, moved_commitment, moved_offset, same_sum, sector_point, sub,
    sub_key, sum_scalars, way_back, zero_message, zero_sum,
};
use serde_json::{Map, Value, json};

type Scalar = <Intl as Group>::Scalar;

const SECTOR: &str = "https://shop.example";

fn scalar(x: &Scalar) -> Value {
    h(*Intl::scalar_to_bytes(x))
}

fn by_subset(value: impl Fn(Subset) -> Value) -> Value {
    Subset::ALL.into_iter().map(|a| (a.name().to_owned(), value(a))).collect::<Map<_, _>>().into()
}

/// K_A of a generation.
fn keys(generation: u32) -> [[u8; 32]; 3] {
    Subset::ALL.map(|a| filled(&format!("K_{} of rotation {generation}", a.name())))
}

/// What is moved: all of one message under K_A.
struct Moving {
    root: [u8; 32],
    epoch: Option<Vec<u8>>,
}

impl Moving {
    fn message(&self) -> Vec<u8> {
        self.epoch.as_ref().map_or_else(|| self.root.to_vec(), |epoch| epoch_message(&self.root, epoch))
    }

    /// One generation, and what the next begins with: e_A.
    fn generation(&self, generation: u32, before: Option<&[Scalar; 3]>) -> (Value, [Scalar; 3]) {
        let prfs = keys(generation).map(|key| hmac(&key, &self.message()));
        let z = before.map(|_| filled(&format!("Z of rotation {generation}")));
        let messages = [Subset::S12, Subset::S13].map(|a| zero_message(a, &self.root, self.epoch.as_deref()));
        let zero = z.as_ref().map(|z| zero_sum::<Intl>(&hmac(z, &messages[0]), &hmac(z, &messages[1])));
        let d = before.zip(zero.as_ref()).map(|(before, zero)| {
            Subset::ALL.map(|a| {
                let slot = a.slot();
                *moved_offset::<Intl>(&before[slot], &zero[slot], &prfs[slot])
            })
        });
        let e = Subset::ALL.map(|a| {
            let d = d.as_ref().map(|d| d[a.slot()].as_slice());
            sub_key::<Intl>(&prfs[a.slot()], d).expect("canonical")
        });
        let c = e.each_ref().map(commitment::<Intl>);
        if let Some((before, zero)) = before.zip(zero.as_ref()) {
            self.moves_both_ways(before, zero, &c);
        }
        let text = json!({
            "generation": generation,
            "keys": by_subset(|a| h(keys(generation)[a.slot()])),
            "z": z.map(h),
            "zero_messages": z.map(|_| messages.each_ref().map(h)),
            "zero": zero.as_ref().map(|zero| by_subset(|a| scalar(&zero[a.slot()]))),
            "d": d.map(|d| by_subset(|a| h(d[a.slot()]))),
            "e": by_subset(|a| scalar(&e[a.slot()])),
            "c": by_subset(|a| h(&c[a.slot()].0.0)),
        });
        (text, e)
    }

    /// Commitments move alone, there and back.
    fn moves_both_ways(&self, before: &[Scalar; 3], zero: &[Scalar; 3], after: &[Element; 3]) {
        let before = before.each_ref().map(commitment::<Intl>);
        let back = way_back::<Intl>(zero);
        for slot in 0..3 {
            assert_eq!(moved_commitment::<Intl>(&before[slot], &zero[slot]).expect("a point"), after[slot]);
            assert_eq!(moved_commitment::<Intl>(&after[slot], &back[slot]).expect("a point"), before[slot]);
        }
        assert!(same_sum::<Intl>(before.each_ref(), after.each_ref()).expect("points"));
    }

    fn text(&self) -> Value {
        let (first, e0) = self.generation(0, None);
        let (second, e1) = self.generation(1, Some(&e0));
        let (third, e2) = self.generation(2, Some(&e1));
        let sums = [e0, e1, e2].map(|e| sum_scalars::<Intl>(&e).expect("three"));
        assert!(sums[0] == sums[1] && sums[1] == sums[2]);
        let p = Intl::mul(&sums[0], &sector_point::<Intl>(SECTOR));
        let name = if self.epoch.is_some() { ep::<Intl>(&p) } else { sub::<Intl>(&p) };
        json!({
            "epoch": self.epoch.as_ref().map(h),
            "message": h(self.message()),
            "generations": [first, second, third],
            "sum": scalar(&sums[0]),
            "name": name,
        })
    }
}

#[test]
fn resharing_vectors_are_frozen() {
    let root = filled("root of rotation");
    let epoch = filled("epoch of rotation")[..16].to_vec();
    let pseudonym = Moving { root, epoch: None }.text();
    let of_epoch = Moving { root, epoch: Some(epoch) }.text();
    frozen(
        "reshare",
        &json!({ "suite": Intl::ID, "root_u": h(root), "sector_id": SECTOR, "sub": pseudonym, "ep": of_epoch }),
    );
}
